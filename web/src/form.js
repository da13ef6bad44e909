// A new scene: choose photos, check them, send them.
import { MIN_PHOTOS, TRAINING } from './contract.js';
import { examine } from './check.js';
import { asFilesGone } from './errors.js';
import { announce, byId, clearNotice, fail } from './page.js';
import { sourceOfDrop, sourceOfFiles, sourceOfFolder } from './source.js';
import { Uploader } from './upload.js';
import { bytes, make, range } from './words.js';

const TEXTS = ['name', 'project', 'customer', 'site']; // the inputs, by the names of the job's options
const THUMBNAILS = 12;
const SPEED_WINDOW = 8000; // ms over which the upload's speed is averaged

export class NewScene {
    // `sent(jobId, fileName)` is called when an upload is complete. `mailbox`: the user's address, or null if none is verified.
    constructor(api, mailbox, sent) {
        Object.assign(this, { api, mailbox, sent });
        this.source = null;
        this.examined = null; // promise of the result of `examine`
        this.uploader = null;
    }

    listen() {
        byId('mail-me-label').hidden = this.mailbox === null;
        byId('mail-me-address').textContent = this.mailbox ?? '';
        for (const [button, input, read] of [['pick-file', 'file', sourceOfFiles], ['pick-folder', 'folder', sourceOfFolder], ['pick-photos', 'photos', sourceOfFiles]]) {
            byId(button).onclick = () => byId(input).click();
            byId(input).onchange = () => {
                if (byId(input).files.length) {
                    this.choose(read(byId(input).files)).catch(fail);
                }
                byId(input).value = ''; // the same file may be chosen again
            };
        }
        byId('step').onchange = () => this.showTimes();
        this.takeDrops();
        byId('form').onsubmit = (event) => {
            event.preventDefault();
            this.send().catch(fail);
        };
        byId('pause').onclick = () => (this.uploader.paused ? this.uploader.resume() : this.uploader.pause());
        byId('cancel').onclick = () => this.uploader.giveUp().catch(fail);
        addEventListener('beforeunload', (event) => {
            if (this.uploader) {
                event.preventDefault();
            }
        });
    }

    // Accepts drops anywhere on the page: a file dropped beside the box would otherwise replace the page.
    takeDrops() {
        addEventListener('dragover', (event) => {
            event.preventDefault();
            document.body.classList.toggle('over', !byId('form').hidden);
        });
        addEventListener('dragleave', (event) => event.relatedTarget ?? document.body.classList.remove('over'));
        addEventListener('drop', (event) => {
            event.preventDefault();
            document.body.classList.remove('over');
            if (!byId('form').hidden && !byId('home').hidden) {
                sourceOfDrop(event.dataTransfer).catch(asFilesGone).then((source) => this.choose(source)).catch(fail);
            }
        });
    }

    async choose(source) {
        this.source = source;
        this.complain(null);
        byId('chosen').hidden = false;
        byId('chosen-name').textContent = source.name;
        byId('chosen-size').textContent = bytes(source.bytes);
        byId('chosen-photos').replaceChildren();
        this.examined = examine(source).catch(asFilesGone);
        const found = await this.examined;
        if (this.source !== source) {
            return;
        }
        this.complain(found.refusal ?? null);
        byId('step').value = found.step ?? 'full';
        byId('chosen-size').textContent = `${found.photos ? `${found.photos.toLocaleString('en')} photos, ` : ''}${bytes(source.bytes)}`;
        announce(found.refusal ? '' : `${source.name}, ${byId('chosen-size').textContent}`);
        this.showTimes();
        await this.showPhotos(source);
    }

    // Shows beside each quality how long such a job is likely to take, if the server can estimate it.
    async showTimes() {
        const { examined } = this;
        const step = byId('step').value;
        const { refusal, photos } = (await examined) ?? { refusal: true };
        const found = refusal && step !== TRAINING ? null : await this.api.estimate(step, photos).catch(() => null);
        if (this.examined === examined && byId('step').value === step) {
            for (const place of document.querySelectorAll('[data-time]')) {
                const seconds = found?.estimates[place.dataset.time];
                place.textContent = seconds ? `${range(seconds)} after the upload` : '';
            }
        }
    }

    async showPhotos(source) {
        const some = source.photos.filter((_, i) => i % Math.ceil(source.photos.length / THUMBNAILS) === 0);
        for (const photo of some) {
            const picture = await createImageBitmap(photo, { resizeHeight: 72, resizeQuality: 'low' }).catch(() => null);
            if (picture && this.source === source) {
                const canvas = make('canvas', undefined, { width: picture.width, height: picture.height });
                canvas.getContext('2d').drawImage(picture, 0, 0);
                byId('chosen-photos').append(canvas);
            }
        }
    }

    complain(refusal) {
        byId('form-error').hidden = refusal === null;
        byId('form-error').replaceChildren(...(refusal === null ? [] : [make('p', refusal.message), make('p', refusal.hint)]));
    }

    async send() {
        if (this.source === null) {
            this.complain({ message: 'Choose photos, a folder or a ZIP first.', hint: `At least ${MIN_PHOTOS} photos that overlap.` });
            byId('pick-photos').focus();
            return;
        }
        if (this.sending) { // pressed again while a large ZIP is examined
            return;
        }
        this.sending = true;
        const { refusal } = await this.examined.finally(() => { this.sending = false; });
        const step = byId('step').value;
        if (refusal && step !== TRAINING) {
            this.complain(refusal);
            return;
        }
        const texts = TEXTS.map((id) => [id, byId(id).value.trim()]).filter(([, text]) => text);
        const options = {
            ...Object.fromEntries(texts),
            email: byId('mail-me').checked ? this.mailbox : null, // without `email` the API would choose the user's own
            pipelineStep: step,
            quality: new FormData(byId('form')).get('quality')
        };
        clearNotice();
        this.uploader = new Uploader(this.api, this.source, options, showSending());
        byId('form').hidden = true;
        byId('sending').hidden = false;
        byId('sending-name').textContent = `Uploading ${this.source.name}`;
        byId('sending-name').focus();
        try {
            const { name } = this.source;
            const jobId = await this.uploader.run();
            this.reset();
            this.sent(jobId, name);
        } catch (error) {
            if (error.name !== 'AbortError') {
                fail(error);
            }
        } finally {
            const hadFocus = byId('sending').contains(document.activeElement);
            this.uploader = null;
            byId('form').hidden = false;
            byId('sending').hidden = true;
            if (hadFocus && !byId('home').hidden) {
                byId('new-title').focus();
            }
        }
    }

    // Clears the form: the next scene has its own name and settings.
    reset() {
        this.source = this.examined = null;
        byId('form').reset();
        byId('chosen').hidden = true;
        this.complain(null);
        this.showTimes();
    }
}

function showSending() {
    const seen = [];
    return ({ sent, bytes: total, state, tries }) => {
        const now = performance.now();
        seen.push({ now, sent });
        while (seen.length > 2 && now - seen[0].now > SPEED_WINDOW) {
            seen.shift();
        }
        const speed = (sent - seen[0].sent) / Math.max(now - seen[0].now, 1) * 1000;
        const share = total ? sent / total : 0;
        byId('sending-bar').value = share;
        byId('sending-text').textContent = `${bytes(sent)} of ${bytes(total)} (${Math.floor(100 * share)} %). ${stateInWords(state, tries, speed)}`;
        byId('pause').textContent = state === 'paused' ? 'Resume' : 'Pause';
        announce(state === 'sending' ? `Upload ${Math.floor(4 * share) * 25} % done` : stateInWords(state, tries, 0));
    };
}

export function stateInWords(state, tries, speed) {
    if (state === 'refused') {
        return 'The server is busy. Trying again …';
    }
    if (state === 'waiting') {
        return tries < 5
            ? 'The connection was lost. The upload resumes as soon as it is back.'
            : 'Still no connection. Check your network; a firewall or a browser extension may block the upload. We keep trying, and what has arrived is kept.';
    }
    return state === 'paused' ? 'Paused.' : speed > 0 ? `${bytes(speed)}/s` : '';
}
