// The page of one job: it asks how far the job is until that has ended, and shows what there is.
import { drawCurve } from './chart.js';
import { showCloud } from './cloud.js';
import { STAGES, STATES, bytes, duration, ended, make, mood } from './words.js';

const EVERY = 2000; // ms between two looks
const SHORTLY = 90_000; // a job shows up within seconds of its upload; until then it is not there
const byId = (id) => document.getElementById(id);

export class JobPage {
    constructor(api, jobId, fail) {
        Object.assign(this, { api, jobId, fail });
        this.began = Date.now();
        this.curve = new Map();
        this.shown = new Set();
        this.open = true;
    }

    async run() {
        ['job-scene', 'job-again', 'snapshots', 'curve', 'cloud', 'thumbnails', 'report', 'job-error'].forEach((id) => { byId(id).hidden = true; });
        byId('job').hidden = false;
        byId('job-name').textContent = 'Your scene';
        byId('job-message').textContent = 'Looking it up …';
        byId('stages').replaceChildren();
        byId('stop').onclick = () => this.stop();
        byId('rerun').onsubmit = (event) => this.rerun(event);
        byId('viewer').removeAttribute('src');
        byId('report-frame').removeAttribute('src');
        while (this.open) {
            try {
                const view = await this.api.lookAtJob(this.jobId);
                if (!this.open) {
                    return;
                }
                this.show(view);
                if (ended(view.status)) {
                    return;
                }
            } catch (error) {
                if (error.status === 404 && Date.now() - this.began < SHORTLY) {
                    byId('job-message').textContent = 'Uploaded. Waiting for the pipeline to pick it up …';
                } else if (error.status >= 400 && error.status < 500 && error.status !== 429) {
                    this.fail(error);
                    return;
                } else {
                    byId('job-message').textContent = 'The connection dropped; trying again …';
                }
            }
            await new Promise((resolve) => { setTimeout(resolve, EVERY); });
        }
    }

    close() {
        this.open = false;
        byId('job').hidden = true;
        byId('viewer').removeAttribute('src');
    }

    show(view) {
        this.view = view;
        document.title = `${view.name} · Spaceport`;
        byId('job-name').textContent = view.name;
        byId('job-status').textContent = STATES[view.status];
        byId('job-status').className = `badge ${mood(view.status)}`;
        byId('job-message').textContent = this.headline(view);
        byId('stop').hidden = ended(view.status);
        byId('job-error').hidden = !view.error;
        if (view.error) {
            byId('job-error').replaceChildren(make('p', view.error.message), make('p', view.error.hint), make('p', view.error.code, { className: 'soft' }));
        }
        byId('job-progress').hidden = view.status === 'REJECTED';
        this.showStages(view);
        this.showPictures(view.links);
        this.showCurve(view);
        if (view.status === 'SUCCEEDED') {
            this.once('result', () => this.showResult(view));
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

    headline(view) {
        if (ended(view.status)) {
            return view.error ? '' : view.message;
        }
        const percent = `${Math.round(100 * view.progress)} %`;
        return view.secondsLeft === null ? percent : `${percent}, about ${duration(view.secondsLeft)} left`;
    }

    showStages(view) {
        const rows = view.stages.map((stage) => {
            const row = make('li');
            const name = make('span', `${STAGES[stage.stage]}${stage.attempt > 1 ? ` (attempt ${stage.attempt})` : ''}`);
            const done = ['SUCCEEDED', 'REUSED'].includes(stage.status);
            const share = done ? 1 : stage.progress;
            const bar = make('progress', undefined, { max: 1, value: share });
            bar.setAttribute('aria-label', STAGES[stage.stage]);
            const words = { WAITING: 'waiting', REUSED: 'kept from the earlier run', FAILED: 'failed', SUCCEEDED: 'done' }[stage.status] ?? stage.message;
            row.append(name, bar, make('span', `${Math.round(100 * share)} %`, { className: 'percent' }), make('span', words + this.figures(stage) + this.foreseen(stage), { className: 'soft' }));
            return row;
        });
        byId('stages').replaceChildren(...rows);
    }

    foreseen({ status, secondsLeft }) {
        if (secondsLeft === null) {
            return '';
        }
        return status === 'RUNNING' ? `, about ${duration(secondsLeft)} left` : `, done in about ${duration(secondsLeft)}`;
    }

    figures({ metrics }) {
        const found = [];
        if (metrics.step) {
            found.push(`step ${metrics.step.toLocaleString('en')} of ${metrics.steps.toLocaleString('en')}`);
        }
        if (metrics.gaussians) {
            found.push(`${metrics.gaussians.toLocaleString('en')} Gaussians`);
        }
        return found.length ? `: ${found.join(', ')}` : '';
    }

    showPictures(links) {
        if (links['sfm/thumbnails.jpg']) {
            this.once('thumbnails', () => {
                byId('thumbnails').hidden = false;
                byId('thumbnail-sheet').src = links['sfm/thumbnails.jpg'];
            });
        }
        if (links['sfm/cloud.json']) {
            this.once('cloud', async () => {
                const cloud = await fetch(links['sfm/cloud.json']).then((answer) => answer.json()).catch(() => null);
                if (cloud === null) {
                    this.shown.delete('cloud'); // the connection dropped; the next look tries again
                    return;
                }
                byId('cloud').hidden = false;
                byId('cloud-text').textContent = `${cloud.cameras.length} cameras, ${cloud.points.count.toLocaleString('en')} points`;
                showCloud(byId('cloud-canvas'), cloud);
            });
        }
        const snapshots = Object.keys(links).filter((name) => name.startsWith('snapshots/'));
        if (snapshots.length && snapshots.length !== this.snapshots?.length) {
            this.snapshots = snapshots;
            const slider = byId('snapshot-slider');
            byId('snapshots').hidden = false;
            slider.max = snapshots.length - 1;
            slider.value = slider.max;
            slider.oninput = () => {
                const name = snapshots[slider.value];
                byId('snapshot').src = links[name];
                byId('snapshot-step').textContent = byId('snapshot').alt = `After ${Number(name.match(/\d+/)[0]).toLocaleString('en')} steps`;
            };
            slider.oninput();
        }
    }

    showCurve(view) {
        const metrics = view.stages.find(({ stage }) => stage === '3dgs')?.metrics ?? {};
        for (const { step, psnr } of metrics.curve ?? []) {
            this.curve.set(step, psnr);
        }
        if (metrics.step && typeof metrics.psnr === 'number') {
            this.curve.set(metrics.step, metrics.psnr);
        }
        if (this.curve.size > 1) {
            const points = [...this.curve].map(([step, psnr]) => ({ step, psnr })).sort((a, b) => a.step - b.step);
            byId('curve').hidden = false;
            drawCurve(byId('curve-chart'), points, metrics.steps);
        }
    }

    showResult({ links, metrics, name, cost }) {
        byId('job-scene').hidden = false;
        const fragment = new URLSearchParams(['ply', 'spz'].filter((kind) => links[`scene.${kind}`]).map((kind) => [kind, links[`scene.${kind}`]]));
        byId('viewer').src = `${links['viewer/index.html']}#${fragment}`;
        const figures = [
            ['Score', metrics.score && `${metrics.score} of 100`],
            ['Photos used', metrics.photos && `${metrics.registered} of ${metrics.photos}`],
            ['Match to your photos', metrics.psnr && `${metrics.psnr.toFixed(1)} dB`],
            ['Size', metrics.bytes && bytes(metrics.bytes)],
            ['Cost', cost?.dollars !== undefined && `$${cost.dollars.toFixed(2)}`]
        ];
        byId('figures').replaceChildren(...figures.filter(([, value]) => value).map(([label, value]) => {
            const box = make('div');
            box.append(make('dt', label), make('dd', value));
            return box;
        }));
        const offers = ['scene.sog', 'scene.ply', 'scene.spz', 'report.html'].filter((file) => links[file]);
        byId('downloads').replaceChildren(...offers.map((file) => make('a', file === 'report.html' ? 'Report' : `Download ${file.slice(5)}`, { className: 'button', href: links[file], download: file === 'report.html' ? '' : `${name}${file.slice(5)}`, target: '_blank', rel: 'noopener' })));
        if (links['report.html']) {
            byId('report').hidden = false;
            byId('report-frame').src = links['report.html'];
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

    async stop() {
        byId('stop').disabled = true;
        try {
            await this.api.stopJob(this.jobId);
        } catch (error) {
            this.fail(error);
        }
        byId('stop').disabled = false;
    }

    async rerun(event) {
        event.preventDefault();
        const quality = byId('rerun-quality').value;
        try {
            const body = { from: byId('rerun-from').value, options: quality ? { quality } : {} };
            const { jobId } = await this.api.rerunJob(this.jobId, body, crypto.randomUUID());
            location.hash = `job=${jobId}`;
        } catch (error) {
            this.fail(error);
        }
    }
}
