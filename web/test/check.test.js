// What is refused before a byte is sent. tests/unit/contracts/test_page_check.py holds ZIPs against the server's own check.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { examine } from '../src/check.js';
import { MAX_UPLOAD_BYTES } from '../src/contract.js';
import { FileSource, FolderSource, sourceOfFiles } from '../src/source.js';

const file = (name, content, type = '') => new FileSource(new File([content], name, { type }));
const refusal = async (source) => (await examine(source)).refusal?.code;
const photos = (count, name = 'a') => new FolderSource('f', Array.from({ length: count }, (_, i) => ({ path: `f/${name}${i}.jpg`, file: new File(['x'], `${name}${i}.jpg`) })));

test('other archives, films and renamed text are distinguished from a ZIP', async () => {
    assert.equal(await refusal(file('a.zip', 'Rar!\x1a\x07\x00')), 'NOT_A_ZIP');
    assert.equal(await refusal(file('a.rar', 'Rar!\x1a\x07\x00')), 'NOT_A_ZIP');
    assert.equal(await refusal(file('a.zip', 'just text')), 'NOT_A_ZIP');
    assert.equal(await refusal(file('a.zip', 'PK\x03\x04 cut off')), 'NOT_A_ZIP');
    assert.equal(await refusal(file('flight.avi', 'whatever')), 'UNSUPPORTED_PHOTOS');
    assert.deepEqual(await examine(file('flight.mp4', 'whatever')), { step: 'full', photos: 0 });
    assert.deepEqual(await examine(file('flight.zip', '\0\0\0\x20ftypisom')), { step: 'full', photos: 0 });
    assert.equal(await refusal(file('a.zip', '')), 'EMPTY_FILE');
});

test('one photo is too few, and a folder says how many there are', async () => {
    assert.equal(await refusal(sourceOfFiles([new File(['x'], 'a.jpg')])), 'TOO_FEW_PHOTOS');
    const { refusal: found } = await examine(photos(3));
    assert.match(found.message, /3 of at least 5/);
    assert.deepEqual(await examine(photos(5)), { step: 'full', photos: 5 });
    assert.equal(await refusal(photos(5001)), 'TOO_MANY_PHOTOS');
});

test('a folder of films or of nothing says which', async () => {
    const folder = (...names) => new FolderSource('f', names.map((name) => ({ path: `f/${name}`, file: new File(['x'], name) })));
    const { refusal: film } = await examine(folder('a.avi', 'b.txt'));
    assert.deepEqual([film.code, film.message.includes('.avi')], ['UNSUPPORTED_PHOTOS', true]);
    assert.equal(await refusal(folder('notes.txt')), 'NO_PHOTOS');
});

test('a folder of films, of a training or of a scene with cameras is taken like a ZIP of it', async () => {
    const folder = (...names) => new FolderSource('f', names.map((name) => ({ path: `f/${name}`, file: new File(['x'], name) })));
    assert.deepEqual(await examine(folder('a.mp4', 'a.srt')), { step: 'full', photos: 0 });
    assert.deepEqual(await examine(folder('point_cloud/iteration_7000/point_cloud.ply', 'point_cloud/iteration_30000/point_cloud.ply', 'input.ply')), { step: 'compression', photos: 0 });
    assert.equal(await refusal(folder('a.ply', 'b.ply')), 'INVALID_SPLAT');
    assert.equal(await refusal(folder()), 'EMPTY_ARCHIVE');
});

test('a splat starts at compression, and only a splat', async () => {
    assert.deepEqual(await examine(file('a.ply', 'ply\nformat binary')), { step: 'compression', photos: 0 });
    assert.equal(await refusal(file('a.ply', 'solid')), 'INVALID_SPLAT');
});

test('what no upload may weigh is not begun', async () => {
    const huge = file('a.ply', 'ply\n');
    Object.defineProperty(huge.file, 'size', { value: MAX_UPLOAD_BYTES + 1 });
    assert.equal(await refusal(huge), 'ARCHIVE_TOO_LARGE');
});
