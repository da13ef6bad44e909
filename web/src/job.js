// The page of one job: polls the job until it has ended, and shows what is available.
import { drawCurve } from './chart.js';
import { showCloud } from './cloud.js';
import { SFM, TRAINING } from './contract.js';
import { showOutcomes } from './evidence.js';
import { SessionEnded, Unreachable, isFinal } from './errors.js';
import { announce, ask, byId, emptyFrame, fail } from './page.js';
import { offerDownloads, showResult, showVerdict } from './result.js';
import { Shares } from './share.js';
import { wait } from './wait.js';
import { STAGES, STATES, ended, make, mood, range } from './words.js';

const EVERY = 2000; // ms between two requests
const SELDOM = 30_000; // ms between them while the server does not answer
const SHORTLY = 90_000; // ms: a job appears within seconds of its upload; until then the server answers 404
const OPEN = ['job-scene', 'job-again', 'verdict', 'snapshots', 'curve', 'overlap', 'cloud', 'thumbnails', 'thumbnails-text', 'outcomes', 'cameras', 'report', 'share', 'manage', 'job-error', 'job-status', 'stop'];

export class JobPage {
    // `justUploaded`: this page has completed the upload of this job
    constructor(api, jobId, justUploaded) {
        Object.assign(this, { api, jobId, justUploaded });
        this.began = Date.now();
        this.curve = new Map();
        this.shown = new Set();
        this.rerunKeys = new Map(); // idempotency keys of the requests to run again, by settings
        this.open = true;
    }

    async run() {
        this.clear();
        for (let lost = 0; this.open;) {
            let pause = EVERY;
            try {
                const view = await this.api.lookAtJob(this.jobId);
                if (!this.open) {
                    return;
                }
                lost = 0;
                this.show(view);
                if (ended(view.status)) { // nothing changes any more but the links, which expire
                    pause = Math.max(EVERY, Date.parse(view.linksExpireAt) - Date.now() - 60_000);
                }
            } catch (error) {
                if (!this.open) {
                    return;
                }
                if (error.status === 404 && this.justUploaded && Date.now() - this.began < SHORTLY) {
                    byId('job-message').textContent = 'Uploaded. Waiting for the job to start …';
                } else if (isFinal(error)) {
                    this.giveUp(error);
                    return;
                } else {
                    lost += 1;
                    this.lost ??= new Date();
                    byId('job-message').textContent = lostInWords(error, lost, this.lost);
                    pause = Math.min(EVERY * 2 ** lost, SELDOM);
                }
            }
            this.waiting = new AbortController();
            await wait(pause, this.waiting.signal);
        }
    }

    clear() {
        OPEN.forEach((id) => { byId(id).hidden = true; });
        byId('job').hidden = byId('job-body').hidden = false;
        byId('job-name').textContent = 'Your scene';
        byId('job-message').textContent = 'Loading …';
        byId('stages').replaceChildren();
        byId('stop').onclick = () => this.stop();
        byId('rerun').onsubmit = (event) => {
            event.preventDefault();
            this.runAgain(byId('rerun-from').value, byId('rerun-quality').value);
        };
    }

    // Requests the job again at once.
    wake() {
        this.waiting?.abort();
    }

    giveUp(error) {
        fail(error);
        byId('job-message').textContent = '';
        byId('stop').hidden = true;
        if (!this.view) {
            byId('job-body').hidden = true;
            byId('job-name').textContent = error.status === 404 ? 'Scene not found' : error instanceof SessionEnded ? 'Signed out' : 'Scene not available';
        }
    }

    close() {
        this.open = false;
        this.wake();
        this.hideCloud?.();
        this.shares?.close();
        byId('job').hidden = true;
        emptyFrame('viewer');
        emptyFrame('report-frame');
    }

    show(view) {
        this.view = view;
        this.lost = undefined;
        document.title = `${view.name} · Spaceport`;
        byId('job-name').textContent = view.name;
        byId('job-status').hidden = false;
        byId('job-status').textContent = this.stopping && !ended(view.status) ? 'stopping …' : STATES[view.status];
        byId('job-status').className = `badge ${mood(view.status)}`;
        byId('job-message').textContent = headline(view);
        announce(spoken(view));
        byId('stop').hidden = ended(view.status);
        byId('job-error').hidden = !view.error;
        if (view.error) {
            byId('job-error').classList.toggle('calm', view.status === 'STOPPED');
            byId('job-error').replaceChildren(make('p', view.error.message), make('p', view.error.hint));
        }
        byId('job-progress').hidden = view.status === 'REJECTED';
        this.showStages(view);
        this.showPictures(view.links);
        if (view.status === 'FAILED') {
            this.showEvidence(view);
        }
        this.showCurve(view);
        if (view.status === 'SUCCEEDED') {
            this.once('result', () => showResult(view));
            this.once('share', () => {
                this.shares = new Shares(this.api, this.jobId, view.name);
                this.shares.open().catch((error) => this.open && fail(error));
            });
            this.once('verdict', () => showVerdict(view.metrics.verdict, (from, quality) => this.runAgain(from, quality)));
            offerDownloads(view);
        }
        if (ended(view.status)) {
            this.once('manage', () => this.offerChanges());
        }
        if (ended(view.status) && view.status !== 'REJECTED') {
            this.once('again', () => this.offerRerun(view));
        }
    }

    once(what, act) {
        if (!this.shown.has(what)) {
            this.shown.add(what);
            act();
        }
    }

    // Acts once, with the JSON at `url`, if this page is still open. If the connection drops, the next request tries again.
    onceRead(what, url, act) {
        this.once(what, async () => {
            const content = await fetch(url).then((answer) => answer.json()).catch(() => null);
            if (content === null) {
                this.shown.delete(what);
            } else if (this.open) {
                act(content);
            }
        });
    }

    showStages(view) {
        const rows = view.stages.map((stage) => {
            const row = make('li');
            const name = make('span', `${STAGES[stage.stage]}${stage.attempt > 1 ? ` (attempt ${stage.attempt})` : ''}`);
            const done = ['SUCCEEDED', 'REUSED'].includes(stage.status);
            const share = done ? 1 : stage.progress;
            const bar = make('progress', undefined, { max: 1, value: share });
            bar.setAttribute('aria-label', STAGES[stage.stage]);
            const words = { WAITING: ended(view.status) ? 'not started' : 'waiting', REUSED: 'kept from the earlier run', FAILED: 'failed', SUCCEEDED: 'done' }[stage.status] ?? stage.message;
            row.append(name, bar, make('span', `${Math.round(100 * share)} %`, { className: 'percent' }), make('span', words + figures(stage), { className: 'soft' }));
            return row;
        });
        byId('stages').replaceChildren(...rows);
    }

    showPictures(links) {
        this.showPicture('overlap', 'overlap-map', links['sfm/overlap.png']);
        this.showPicture('thumbnails', 'thumbnail-sheet', links['sfm/thumbnails.jpg']);
        if (links['sfm/cloud.json']) {
            this.onceRead('cloud', links['sfm/cloud.json'], (cloud) => {
                byId('cloud').hidden = false;
                byId('cloud-text').textContent = `${cloud.cameras.length} cameras, ${cloud.points.count.toLocaleString('en')} points`;
                this.hideCloud = showCloud(byId('cloud-canvas'), cloud, byId('cloud-turn'));
            });
        }
        const snapshots = Object.keys(links).filter((name) => name.startsWith('snapshots/'));
        this.links = links; // the newest: those that came earlier expire
        if (snapshots.length && snapshots.length !== this.snapshots?.length) {
            this.snapshots = snapshots;
            const slider = byId('snapshot-slider');
            byId('snapshots').hidden = false;
            slider.hidden = snapshots.length === 1;
            slider.max = snapshots.length - 1;
            slider.value = slider.max;
            slider.oninput = () => {
                const name = snapshots[slider.value];
                byId('snapshot').src = this.links[name];
                byId('snapshot-step').textContent = byId('snapshot').alt = `After ${Number(name.match(/\d+/)[0]).toLocaleString('en')} steps`;
                slider.setAttribute('aria-valuetext', byId('snapshot-step').textContent);
            };
            slider.oninput();
        }
    }

    showPicture(section, picture, url) {
        if (url) {
            this.once(section, () => {
                byId(section).hidden = false;
                byId(picture).onerror = () => { byId(section).hidden = true; };
                byId(picture).src = url;
            });
        }
    }

    // Shows which photos were placed, and where, so that the customer can fly better.
    showEvidence({ links, stages }) {
        this.showPicture('cameras', 'cameras-map', links['sfm/cameras.png']);
        byId('thumbnails-text').hidden = !stages.some(({ stage, status }) => stage === SFM && status === 'FAILED');
        if (links['sfm/photos.json']) {
            this.onceRead('outcomes', links['sfm/photos.json'], showOutcomes);
        }
    }

    showCurve(view) {
        const metrics = view.stages.find(({ stage }) => stage === TRAINING)?.metrics ?? {};
        for (const { step, psnr } of metrics.curve ?? []) {
            this.curve.set(step, psnr);
        }
        if (this.curve.size > 1) {
            const points = [...this.curve].map(([step, psnr]) => ({ step, psnr })).sort((a, b) => a.step - b.step);
            byId('curve').hidden = false;
            drawCurve(byId('curve-chart'), points, metrics.steps);
        }
    }

    offerRerun({ stages }) {
        const reachable = [];
        for (const stage of stages) {
            reachable.push(stage);
            if (!['SUCCEEDED', 'REUSED'].includes(stage.status)) {
                break;
            }
        }
        byId('job-again').hidden = false;
        byId('rerun-from').replaceChildren(...reachable.map(({ stage }) => make('option', STAGES[stage].toLowerCase(), { value: stage })));
    }

    offerChanges() {
        byId('manage').hidden = false;
        byId('rename').onclick = () => this.rename().catch(fail);
        byId('delete').onclick = () => this.remove().catch(fail);
    }

    async rename() {
        const name = await ask({ title: 'New name for the scene', text: '', yes: 'Rename', no: 'Cancel', value: this.view.name });
        if (name) {
            await this.api.renameJob(this.jobId, name);
            this.wake();
        }
    }

    async remove() {
        const yes = await ask({
            title: `Delete “${this.view.name}”?`,
            text: 'This deletes the scene, its report and its links, and also the photos unless another run still uses them. You cannot undo this.',
            yes: 'Delete',
            no: 'Keep it'
        });
        if (yes) {
            await this.api.deleteJob(this.jobId);
            location.hash = '';
        }
    }

    async stop() {
        const yes = await ask({
            title: 'Stop making this scene?',
            text: 'Finished steps are kept, and you can run the job again from there. What the current step has done so far is lost.',
            yes: 'Stop',
            no: 'Keep going'
        });
        if (!yes || !this.open) {
            return;
        }
        this.stopping = true;
        byId('stop').disabled = true;
        byId('job-status').textContent = 'stopping …';
        try {
            await this.api.stopJob(this.jobId);
        } catch (error) {
            this.stopping = false;
            fail(error);
        }
        byId('stop').disabled = false;
    }

    // Starts one run of the same settings, however often a button is pressed.
    async runAgain(from, quality) {
        const settings = `${from}/${quality ?? ''}`;
        if (!this.rerunKeys.has(settings)) {
            this.rerunKeys.set(settings, crypto.randomUUID());
        }
        try {
            const { jobId } = await this.api.rerunJob(this.jobId, { from, options: quality ? { quality } : {} }, this.rerunKeys.get(settings));
            location.hash = `job=${jobId}`;
        } catch (error) {
            fail(error);
        }
    }
}

export function headline(view) {
    if (ended(view.status)) {
        return view.error ? '' : view.message;
    }
    const percent = `${Math.round(100 * view.progress)} %`;
    return view.timeLeft ? `${percent}, ${range(view.timeLeft)} left` : percent;
}

// What a screen reader announces of a job: its state, step and quarter, not every percent.
export function spoken(view) {
    if (ended(view.status)) {
        return `${view.name}: ${STATES[view.status]}`;
    }
    const running = view.stages.find(({ status }) => status === 'RUNNING');
    return `${running ? STAGES[running.stage] : 'Waiting'}, ${25 * Math.floor(4 * view.progress)} % done`;
}

export function lostInWords(error, times, since) {
    const what = error instanceof Unreachable ? 'The connection was lost' : 'The server has a problem';
    if (times < 4) {
        return `${what}. Trying again …`;
    }
    return `${what} at ${since.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })} and we keep trying. Work on your scene continues: you may close this page and come back later.`;
}

export function figures({ metrics }) {
    const found = [];
    if (metrics.step && metrics.step <= metrics.steps) {
        found.push(`step ${metrics.step.toLocaleString('en')} of ${metrics.steps.toLocaleString('en')}`);
    }
    if (metrics.gaussians) {
        found.push(`${metrics.gaussians.toLocaleString('en')} Gaussians`);
    }
    return found.length ? `: ${found.join(', ')}` : '';
}
