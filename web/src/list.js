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
            arrange(jobs, this.older > 0);
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
        byId('jobs').append(...jobs.map((job) => fill(emptyRow(job), job)));
        byId('more-jobs').hidden = next === null;
    }
}

// Shows the jobs, each in the row that it has, and below them the other rows or none. A row is not taken out of the page
// while its job is listed: it would lose the focus.
function arrange(jobs, keepOthers) {
    const list = byId('jobs');
    const others = new Map([...list.children].map((item) => [item.firstElementChild.getAttribute('href'), item]));
    const rows = jobs.map((job) => {
        const item = fill(others.get(addressOf(job)) ?? emptyRow(job), job);
        others.delete(addressOf(job));
        return item;
    });
    if (!keepOthers) {
        [...others.values()].forEach((item) => { item.remove(); });
    }
    rows.forEach((item, place) => {
        if (list.children[place] !== item) {
            list.insertBefore(item, list.children[place] ?? null);
        }
    });
}

const addressOf = (job) => `#job=${encodeURIComponent(job.jobId)}`;

function emptyRow(job) {
    const link = make('a', undefined, { href: addressOf(job) });
    link.append(make('span', undefined, { className: 'thumbnail' }), make('b'), make('span'), make('span', undefined, { className: 'soft' }));
    const item = make('li');
    item.append(link);
    return item;
}

function fill(item, job) {
    const [picture, name, state, when] = item.firstElementChild.children;
    if (job.thumbnail && !picture.src) { // links are signed anew each time, so that each would be fetched again
        const failed = ({ target }) => target.replaceWith(make('span', undefined, { className: 'thumbnail' }));
        picture.replaceWith(make('img', undefined, { src: job.thumbnail, alt: '', loading: 'lazy', className: 'thumbnail', onerror: failed }));
    }
    const number = job.rerunOf ? ` #${job.jobId.match(/-r(\d+)$/)?.[1] ?? ''}` : '';
    name.textContent = job.name + number;
    state.textContent = STATES[job.status] + (job.status === 'RUNNING' ? ` ${Math.round(100 * job.progress)} %` : '');
    state.className = `badge ${mood(job.status)}`;
    when.textContent = `${job.rerunOf ? 'Run again from the upload of' : 'Uploaded'} ${new Date(job.uploadedAt).toLocaleString()}`;
    return item;
}
