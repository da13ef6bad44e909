// The form of a new scene.
import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { FilesGone } from '../src/errors.js';
import { NewScene } from '../src/form.js';
import { FileSource } from '../src/source.js';
import { openDocument, settled } from './document.js';

const gone = () => Promise.reject(new DOMException('A requested file could not be found.', 'NotFoundError'));
let byId;
let listeners;

beforeEach(() => {
    byId = openDocument();
    document.body = { classList: { remove: () => null } };
    listeners = {};
    globalThis.addEventListener = (name, act) => { listeners[name] = act; };
});

test('a file that is gone before it is examined is named as the reason', async () => {
    const file = { name: 'flight.zip', size: 1000, lastModified: 0, type: '', slice: () => ({ arrayBuffer: gone }) };
    const scene = new NewScene({}, null, () => null);
    await assert.rejects(scene.choose(new FileSource(file)), FilesGone);
    await assert.rejects(scene.send(), FilesGone);
});

test('so is a folder that is gone while it is read', async () => {
    mock.method(console, 'error', () => null);
    const scene = new NewScene({ estimate: async () => null }, null, () => null);
    scene.listen();
    const entry = { isFile: true, fullPath: '/f/a.jpg', name: 'a.jpg', file: (_found, failed) => gone().catch(failed) };
    const folder = (batches = [[entry], []]) => ({ isFile: false, name: 'f', createReader: () => ({ readEntries: (found) => found(batches.shift()) }) });
    listeners.drop({ preventDefault: () => null, dataTransfer: { items: [{ webkitGetAsEntry: () => folder() }] } });
    await settled();
    assert.match(byId('notice').textContent, /^The files can no longer be read\./);
    mock.restoreAll();
});

async function sent(ticked) {
    const requests = [];
    globalThis.FormData = class { get = () => 'standard'; };
    globalThis.localStorage = { getItem: () => null, setItem: () => null };
    mock.method(console, 'error', () => null);
    const scene = new NewScene({ beginUpload: async (request) => { requests.push(request); throw new FilesGone(); } }, 'pilot@example.com', () => null);
    scene.source = { name: 'a.zip', bytes: 10, fingerprint: 'a', photos: [] };
    scene.examined = Promise.resolve({ step: 'full', photos: 20 });
    byId('step').value = 'full';
    byId('mail-me').checked = ticked;
    await scene.send();
    mock.restoreAll();
    return requests[0];
}

test('a mail is asked for or declined by the box, because the API has a default', async () => {
    assert.equal((await sent(true)).email, 'pilot@example.com');
    const declined = await sent(false);
    assert.equal(declined.email, null);
    assert.equal('name' in declined, false);
});

test('pressing the button again while a ZIP is examined begins one upload', async () => {
    let begun = 0;
    mock.method(console, 'error', () => null);
    globalThis.FormData = class { get = () => 'standard'; };
    globalThis.localStorage = { getItem: () => null, setItem: () => null };
    const scene = new NewScene({ beginUpload: async () => { begun += 1; throw new FilesGone(); } }, null, () => null);
    scene.source = { name: 'a.zip', bytes: 10, fingerprint: 'a', photos: [] };
    scene.examined = settled().then(() => ({ step: 'full', photos: 20 }));
    await Promise.all([scene.send(), scene.send()]);
    assert.equal(begun, 1);
    mock.restoreAll();
});
