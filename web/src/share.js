// Share links, which a scene's owner creates, names, limits and withdraws.
import { ApiError } from './errors.js';
import { ask, announce, byId, fail } from './page.js';
import { make } from './words.js';

export class Shares {
    constructor(api, jobId, name) {
        Object.assign(this, { api, jobId, name });
        this.shown = true; // an answer that comes after `close` belongs to another scene's page
    }

    open() {
        byId('share').hidden = false;
        byId('new-share').hidden = true;
        byId('shares').replaceChildren();
        byId('share-link').value = byId('share-embed').value = '';
        byId('share-form').reset();
        byId('share-form').onsubmit = (event) => {
            event.preventDefault();
            this.add().catch(this.fail);
        };
        return this.list();
    }

    close() {
        this.shown = false;
    }

    fail = (error) => this.shown && fail(error);

    async list() {
        const { shares } = await this.api.listShares(this.jobId);
        if (!this.shown) {
            return;
        }
        byId('shares').replaceChildren(...shares.map((share) => this.row(share)));
    }

    row({ shareId, label, createdAt, expiresAt }) {
        const until = expiresAt === null ? 'until withdrawn' : `until ${new Date(expiresAt).toLocaleDateString()}`;
        const made = label || `Link of ${new Date(createdAt).toLocaleDateString()}`;
        const row = make('li', `${made}, works ${until} `);
        row.append(make('button', 'Withdraw', { type: 'button', ariaLabel: `Withdraw ${made}`, onclick: () => this.withdraw(shareId, made).catch(this.fail) }));
        return row;
    }

    async add() {
        const days = byId('share-days').value;
        const request = { label: byId('share-label').value.trim(), ...(days ? { days: Number(days) } : {}) };
        const { token } = await this.api.shareJob(this.jobId, request).catch(limitInWords);
        if (!this.shown) {
            return;
        }
        const url = this.api.sharedUrl(token);
        byId('share-form').reset();
        byId('share-link').value = url;
        byId('share-embed').value = embedCode(url, this.name);
        byId('new-share').hidden = false;
        byId('share-link').select();
        for (const part of ['link', 'embed']) {
            byId(`copy-${part}`).onclick = () => navigator.clipboard.writeText(byId(`share-${part}`).value).then(() => announce('Copied.')).catch(() => byId(`share-${part}`).select());
        }
        await this.list();
    }

    async withdraw(shareId, label) {
        if (await ask({ title: `Withdraw “${label}”?`, text: 'The link will no longer open the scene.', yes: 'Withdraw', no: 'Keep it' })) {
            await this.api.withdrawShare(this.jobId, shareId);
            if (this.shown) {
                byId('new-share').hidden = true;
                await this.list();
            }
        }
    }
}

// Throws the API's own words if it refuses another link: the form allows no other mistake than one link too many.
function limitInWords(error) {
    throw error.code === 'INVALID_REQUEST' ? new ApiError(error.status, { code: 'NO_MORE_LINKS', detail: error.message }) : error;
}

// HTML that shows the scene in a frame on another web page.
export function embedCode(url, name) {
    const title = name.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
    return `<iframe src="${url}" title="${title}" width="800" height="500" style="border:0" allow="fullscreen" loading="lazy"></iframe>`;
}
