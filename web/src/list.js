// The caller's scenes, newest first; refreshed while one of them is in progress.
import { announce, byId, fail } from './page.js';
import { isFinal } from './errors.js';
import { STATES, ended, make, mood } from './words.js';

const EVERY = 10_000; // ms between two requests while a scene in the list is in progress
const TYPING = 300; // ms without a keystroke until the search starts

export class SceneList {
    constructor(api) {
        this.api = api;
    }

    open() {
        this.close();
        this.older = 0;
        this.search = byId('find').value.trim();
        byId('find').oninput = () => {
            this.close();
            this.timer = setTimeout(() => this.open(), TYPING);
        };
        byId('more-jobs').onclick = () => this.showOlder().catch(fail);
        this.look().catch(fail);
    }

    // The next page that contains scenes: a page of a search may be empty.
    async page(before) {
        let page;
        do {
            page = await this.api.listJobs(page?.next ?? before, this.search);
        } while (page.jobs.length === 0 && page.next !== null);
        return page;
    }

    close() {
        clearTimeout(this.timer);
        this.looks = (this.looks ?? 0) + 1; // an answer that is still on its way is no longer of use
    }

    async look() {
        const round = this.looks;
        let underWay = true;
        try {
            const { jobs, next } = await this.page();
            if (round !== this.looks) {
                return;
            }
            underWay = jobs.some(({ status }) => !ended(status));
            if (this.older === 0) {
                this.next = next;
                byId('more-jobs').hidden = next === null;
            }
            const fresh = jobs.map(row);
            const links = new Set(fresh.map(linkOf));
            const older = this.older ? [...byId('jobs').children].filter((item) => !links.has(linkOf(item))) : [];
            byId('jobs').replaceChildren(...fresh, ...older);
            this.shown = true;
            const count = byId('jobs').childElementCount;
            byId('no-jobs').hidden = count > 0;
            byId('no-jobs').textContent = this.search ? `No scene has “${this.search}” in its name` : 'No scenes yet';
            byId('find-label').hidden = count === 0 && !this.search;
            if (this.search) {
                announce(count === 0 ? byId('no-jobs').textContent : `${count} ${count === 1 ? 'scene' : 'scenes'} found${byId('more-jobs').hidden ? '' : ' so far'}`);
            }
        } catch (error) {
            if (round !== this.looks) {
                return;
            }
            if (isFinal(error) || !this.shown) {
                throw error;
            }
        }
        if (underWay) {
            this.timer = setTimeout(() => this.look().catch(fail), EVERY);
        }
    }

    async showOlder() {
        const round = this.looks;
        byId('more-jobs').disabled = true; // a second click would add the same scenes
        const { jobs, next } = await this.page(this.next).finally(() => { byId('more-jobs').disabled = false; });
        if (round !== this.looks) {
            return;
        }
        this.older += jobs.length;
        this.next = next;
        byId('jobs').append(...jobs.map(row));
        byId('more-jobs').hidden = next === null;
    }
}

const linkOf = (item) => item.firstElementChild.getAttribute('href');

function row(job) {
    const link = make('a', undefined, { href: `#job=${encodeURIComponent(job.jobId)}` });
    const percent = job.status === 'RUNNING' ? ` ${Math.round(100 * job.progress)} %` : '';
    const number = job.rerunOf ? ` #${job.jobId.match(/-r(\d+)$/)?.[1] ?? ''}` : '';
    link.append(
        job.thumbnail ? make('img', undefined, { src: job.thumbnail, alt: '', loading: 'lazy', className: 'thumbnail' }) : make('span', undefined, { className: 'thumbnail' }),
        make('b', job.name + number),
        make('span', STATES[job.status] + percent, { className: `badge ${mood(job.status)}` }),
        make('span', `${job.rerunOf ? 'Run again from the upload of' : 'Uploaded'} ${new Date(job.uploadedAt).toLocaleString()}`, { className: 'soft' })
    );
    const item = make('li');
    item.append(link);
    return item;
}
