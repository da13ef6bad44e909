// The page: sign in, choose photos, upload, and the list of one's scenes; a job's own page is in job.js.
import { Api } from './api.js';
import { MIN_PHOTOS } from './contract.js';
import { JobPage } from './job.js';
import { Session } from './session.js';
import { FileSource, sourceOfDrop, sourceOfFolder } from './source.js';
import { Uploader } from './upload.js';
import { STATES, bytes, make, mood } from './words.js';

const byId = (id) => document.getElementById(id);
const THUMBNAILS = 12;
let api;
let source = null;
let uploader = null;
let page = null;

function fail(error) {
    byId('notice').hidden = false;
    byId('notice').replaceChildren(make('p', error.message), ...(error.hint ? [make('p', error.hint)] : []));
}

async function start() {
    const config = await (await fetch('config.json')).json();
    const session = new Session(config);
    await session.finishSignIn();
    api = new Api(config.apiUrl.replace(/\/$/, ''), session);
    byId('sign-in').onclick = () => session.signIn();
    if (session.signedIn) {
        byId('account').replaceChildren(session.email ?? '');
        if (!config.tokens) {
            byId('account').append(' ', make('button', 'Sign out', { onclick: () => session.signOut() }));
        }
        byId('email').value = session.email ?? '';
    }
    addEventListener('hashchange', () => route(session));
    route(session);
}

function route(session) {
    page?.close();
    page = null;
    byId('notice').hidden = true;
    const wanted = new URLSearchParams(location.hash.slice(1));
    const jobId = wanted.get('job');
    const mailbox = wanted.get('unsubscribe');
    byId('mails').hidden = !mailbox;
    byId('welcome').hidden = session.signedIn || Boolean(mailbox);
    byId('home').hidden = !session.signedIn || Boolean(jobId ?? mailbox);
    document.title = 'Spaceport';
    if (mailbox) {
        offerMails(mailbox);
    } else if (session.signedIn && jobId) {
        page = new JobPage(api, jobId, fail);
        page.run();
        byId('main').focus();
    } else if (session.signedIn) {
        listJobs().catch(fail);
    }
}

function offerMails(mailbox) {
    async function set(subscribed) {
        try {
            await api.setMails(mailbox, subscribed);
            byId('mails-text').textContent = subscribed ? 'We write to you again.' : 'You get no more mails about your scenes.';
            byId('mails-stop').hidden = !subscribed;
            byId('mails-again').hidden = subscribed;
        } catch (error) {
            fail(error);
        }
    }
    byId('mails-stop').onclick = () => set(false);
    byId('mails-again').onclick = () => set(true);
}

async function listJobs(before) {
    const { jobs, next } = await api.listJobs(before);
    const rows = jobs.map((job) => {
        const link = make('a', undefined, { href: `#job=${job.jobId}` });
        link.append(make('b', job.name), make('span', STATES[job.status], { className: `badge ${mood(job.status)}` }), make('span', new Date(job.uploadedAt).toLocaleString(), { className: 'soft' }));
        const row = make('li');
        row.append(link);
        return row;
    });
    if (before) {
        byId('jobs').append(...rows);
    } else {
        byId('jobs').replaceChildren(...rows);
    }
    byId('no-jobs').hidden = byId('jobs').childElementCount > 0;
    byId('more-jobs').hidden = next === null;
    byId('more-jobs').onclick = () => listJobs(next).catch(fail);
}

// ── choosing ──

async function choose(found) {
    source = found;
    byId('form-error').hidden = true;
    byId('chosen').hidden = false;
    byId('chosen-name').textContent = source.name;
    const count = source.photos.length ? `${source.photos.length} photos, ` : '';
    byId('chosen-size').textContent = count + bytes(source.bytes);
    if (/\.ply$/i.test(source.name)) {
        byId('step').value = 'compression';
    }
    const some = source.photos.filter((_, i) => i % Math.ceil(source.photos.length / THUMBNAILS) === 0);
    byId('chosen-photos').replaceChildren();
    for (const photo of some) {
        const picture = await createImageBitmap(photo, { resizeHeight: 72, resizeQuality: 'low' }).catch(() => null);
        if (picture && source === found) {
            const canvas = make('canvas', undefined, { width: picture.width, height: picture.height });
            canvas.getContext('2d').drawImage(picture, 0, 0);
            byId('chosen-photos').append(canvas);
        }
    }
}

const drop = byId('drop');
drop.ondragover = (event) => { event.preventDefault(); drop.classList.add('over'); };
drop.ondragleave = () => drop.classList.remove('over');
drop.ondrop = async (event) => {
    event.preventDefault();
    drop.classList.remove('over');
    choose(await sourceOfDrop(event.dataTransfer));
};
byId('pick-file').onclick = () => byId('file').click();
byId('pick-folder').onclick = () => byId('folder').click();
byId('file').onchange = () => byId('file').files.length && choose(new FileSource(byId('file').files[0]));
byId('folder').onchange = () => byId('folder').files.length && choose(sourceOfFolder(byId('folder').files));

// ── sending ──

function fault() {
    const email = byId('email');
    email.removeAttribute('aria-invalid');
    if (source === null) {
        return 'Choose a ZIP or a folder of photos first.';
    }
    if (!(source instanceof FileSource) && source.photos.length < MIN_PHOTOS) {
        return `There are ${source.photos.length} photos in this folder; at least ${MIN_PHOTOS} are needed.`;
    }
    if (source.bytes === 0) {
        return 'The file is empty.';
    }
    if (email.value && !email.checkValidity()) {
        email.setAttribute('aria-invalid', 'true');
        email.focus();
        return 'This is no e-mail address.';
    }
    return null;
}

byId('form').onsubmit = async (event) => {
    event.preventDefault();
    const wrong = fault();
    byId('form-error').hidden = wrong === null;
    byId('form-error').textContent = wrong;
    if (wrong !== null) {
        return;
    }
    const chosen = {
        name: byId('name').value.trim(),
        email: byId('email').value.trim(),
        pipelineStep: byId('step').value,
        quality: new FormData(byId('form')).get('quality')
    };
    const options = Object.fromEntries(Object.entries(chosen).filter(([, value]) => value));
    uploader = new Uploader(api, source, options, showSending());
    byId('form').hidden = true;
    byId('sending').hidden = false;
    byId('sending-name').textContent = source.name;
    try {
        const jobId = await uploader.run();
        source = null;
        byId('chosen').hidden = true;
        location.hash = `job=${jobId}`;
    } catch (error) {
        if (error.name !== 'AbortError') {
            fail(error);
        }
    } finally {
        uploader = null;
        byId('form').hidden = false;
        byId('sending').hidden = true;
    }
};

function showSending() {
    const seen = [];
    return ({ sent, bytes: total, state }) => {
        const now = performance.now();
        seen.push({ now, sent });
        while (seen.length > 2 && now - seen[0].now > 8000) {
            seen.shift();
        }
        const speed = (sent - seen[0].sent) / Math.max(now - seen[0].now, 1) * 1000;
        const states = {
            sending: speed > 0 ? `${bytes(speed)}/s` : '',
            waiting: 'The connection dropped. The upload goes on as soon as it is back.',
            paused: 'Paused.'
        };
        byId('sending-bar').value = total ? sent / total : 0;
        byId('sending-text').textContent = `${bytes(sent)} of ${bytes(total)} (${Math.floor(100 * sent / total)} %) ${states[state]}`;
        byId('pause').textContent = state === 'paused' ? 'Go on' : 'Pause';
    };
}

byId('pause').onclick = () => (uploader.paused ? uploader.resume() : uploader.pause());
byId('cancel').onclick = () => uploader.giveUp().catch(fail);
addEventListener('beforeunload', (event) => {
    if (uploader) {
        event.preventDefault();
    }
});

start().catch(fail);
