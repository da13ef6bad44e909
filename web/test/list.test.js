// The list of scenes on the page.
import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { ApiError } from '../src/errors.js';
import { SceneList } from '../src/list.js';
import { openDocument, settled } from './document.js';

let byId;

const job = (number, status = 'SUCCEEDED') => ({ jobId: `job-${number}`, name: `Scene ${number}`, status, progress: 0.5, uploadedAt: '2026-01-01T00:00:00Z' });
const names = () => byId('jobs').children.map((row) => row.textContent.match(/Scene \d/)[0]);

beforeEach(() => {
    byId = openDocument();
});

test('a list goes on after an answer with a fault', async () => {
    const answers = [{ jobs: [job(1, 'RUNNING')], next: null }, new ApiError(503, {}), { jobs: [job(2, 'RUNNING')], next: null }, { jobs: [job(3)], next: null }];
    const timers = [];
    const later = mock.method(globalThis, 'setTimeout', (act) => timers.push(act));
    const list = new SceneList({ listJobs: async () => {
        const answer = answers.shift();
        if (answer instanceof Error) {
            throw answer;
        }
        return answer;
    } });
    list.open();
    later.mock.restore();
    for (const expected of ['Scene 1', 'Scene 1', 'Scene 2', 'Scene 3']) {
        const again = mock.method(globalThis, 'setTimeout', (act) => timers.push(act));
        await new Promise(setImmediate);
        await new Promise(setImmediate);
        again.mock.restore();
        assert.deepEqual(names(), [expected]);
        timers.shift()?.();
    }
    assert.equal(answers.length, 0);
    assert.equal(timers.length, 0);
});

test('a second click on the button adds no scene twice', async () => {
    const api = { listJobs: async (before) => {
        await settled();
        return before ? { jobs: [job(2), job(1)], next: null } : { jobs: [job(3)], next: 'page 2' };
    } };
    new SceneList(api).open();
    await settled();
    await settled();
    const button = byId('more-jobs');
    button.onclick();
    assert.equal(button.disabled, true);
    await settled();
    await settled();
    assert.deepEqual(names(), ['Scene 3', 'Scene 2', 'Scene 1']);
    assert.equal(button.disabled, false);
});

test('a scene keeps its row, with the focus and the picture in it, while others come and go', async () => {
    const pictured = (number, link, status) => ({ ...job(number, status), thumbnail: `https://b/${number}?signed=${link}` });
    const answers = [
        [job(3, 'RUNNING'), pictured(2, 1), pictured(1, 1)],
        [job(4, 'RUNNING'), pictured(3, 2), pictured(2, 2)]
    ];
    const timers = [];
    const list = new SceneList({ listJobs: async () => ({ jobs: answers.shift(), next: null }) });
    const later = mock.method(globalThis, 'setTimeout', (act) => timers.push(act));
    const look = async (act) => {
        act();
        await new Promise(setImmediate);
        await new Promise(setImmediate);
    };
    const picture = (row) => row.firstElementChild.firstElementChild;
    await look(() => list.open());
    const [three, two] = byId('jobs').children;
    two.remove = three.remove = () => assert.fail('a row that is taken out loses the focus');
    await look(timers.shift());
    assert.deepEqual(names(), ['Scene 4', 'Scene 3', 'Scene 2']);
    assert.deepEqual(byId('jobs').children.slice(1), [three, two]);
    assert.match(three.textContent, /ready/);
    assert.equal(picture(three).src, 'https://b/3?signed=2');
    assert.equal(picture(two).src, 'https://b/2?signed=1', 'it is fetched once');
    picture(two).onerror({ target: picture(two) });
    answers.push([pictured(2, 3)]);
    delete three.remove;
    await look(timers.shift());
    assert.deepEqual(byId('jobs').children, [two]);
    assert.equal(picture(two).src, 'https://b/2?signed=3', 'its first link had expired');
    later.mock.restore();
});
