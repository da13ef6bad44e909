// The page as a whole: signs the user in and shows the part that the address names; a job's own page is in job.js.
import { Api } from './api.js';
import { ApiError, reached } from './errors.js';
import { NewScene } from './form.js';
import { JobPage } from './job.js';
import { SceneList } from './list.js';
import { byId, clearNotice, fail, onSignIn, toast } from './page.js';
import { Session } from './session.js';
import { make } from './words.js';

const uploaded = new Set(); // jobs whose upload this page has just completed
let api;
let session;
let scenes;
let page = null;

addEventListener('unhandledrejection', ({ reason }) => fail(reason));

async function start() {
    byId('skip').onclick = (event) => { // `#main` in the address would leave the scene on show
        event.preventDefault();
        byId('main').focus();
    };
    const config = await (await reached(fetch('config.json'))).json();
    session = new Session(config);
    onSignIn(() => (config.tokens ? location.reload() : session.signIn()));
    await session.finishSignIn();
    api = new Api(config.apiUrl.replace(/\/$/, ''), session);
    scenes = new SceneList(api);
    byId('sign-in').onclick = () => session.signIn();
    showOperatorsWords(config);
    if (session.signedIn) {
        byId('account').replaceChildren(session.email ?? '');
        if (!config.tokens) {
            byId('account').append(' ', make('button', 'Sign out', { onclick: () => session.signOut() }));
        }
        new NewScene(api, session.mailbox, open).listen();
    }
    addEventListener('hashchange', () => route(true));
    route(false);
}

// Shows the price, sample and terms that the operator of this service has configured.
function showOperatorsWords({ price, sampleUrl, termsUrl }) {
    byId('price').textContent = price || byId('price').textContent;
    for (const [part, link, url] of [['sample-link', 'sample-link', sampleUrl], ['terms', 'terms-link', termsUrl]]) {
        byId(part).hidden = !url;
        byId(link).href = url ?? '';
    }
}

// Opens the uploaded job's page, unless another job's page is open.
function open(jobId, fileName) {
    uploaded.add(jobId);
    if (page === null) {
        location.hash = `job=${jobId}`;
    } else {
        toast(`“${fileName}” has been uploaded.`, 'Open it', `#job=${encodeURIComponent(jobId)}`);
    }
}

// `moved`: the user came from another part of the page, so the focus moves, too
function route(moved) {
    page?.close();
    page = null;
    scenes.close();
    clearNotice();
    const wanted = new URLSearchParams(location.hash.slice(1));
    const jobId = wanted.get('job');
    const mailbox = wanted.get('unsubscribe');
    byId('mails').hidden = !mailbox;
    byId('welcome').hidden = session.signedIn || Boolean(mailbox);
    byId('facts').hidden = Boolean(jobId ?? mailbox);
    byId('home').hidden = !session.signedIn || Boolean(jobId ?? mailbox);
    document.title = 'Spaceport';
    if (mailbox) {
        offerMails(mailbox);
    } else if (session.signedIn && jobId) {
        page = new JobPage(api, jobId, uploaded.has(jobId));
        page.run().catch(fail);
    } else if (session.signedIn) {
        scenes.open();
    }
    if (moved) {
        document.querySelector('main > :not([hidden]) h1')?.focus();
    }
}

function offerMails(mailbox) {
    async function set(subscribed) {
        try {
            await api.setMails(mailbox, subscribed);
            byId('mails-text').textContent = subscribed ? 'You will get e-mails again.' : 'You will no longer get e-mails about your scenes.';
            byId('mails-stop').hidden = !subscribed;
            byId('mails-again').hidden = subscribed;
            byId(subscribed ? 'mails-stop' : 'mails-again').focus();
        } catch (error) {
            fail(error.status === 404 ? new ApiError(404, { code: 'MAIL_LINK', detail: 'This unsubscribe link is no longer valid.', hint: 'Use the link in the newest e-mail.' }) : error);
        }
    }
    byId('mails-stop').onclick = () => set(false);
    byId('mails-again').onclick = () => set(true);
}

start().catch(fail);
