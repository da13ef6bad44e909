// What a customer chose, as bytes in parts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FileSource, FolderSource, sourceOfDrop, sourceOfFiles, sourceOfFolder } from '../src/source.js';

const PART = 1000;

function photo(path, size, lastModified = 1_700_000_000_000) {
    const content = Uint8Array.from({ length: size }, (_, i) => (i * 31 + path.length) % 256);
    return { path, file: new File([content], path.split('/').at(-1), { lastModified }) };
}

async function collect(source, received = new Set()) {
    const parts = [];
    for await (const { number, blob } of source.parts(PART, received)) {
        parts.push({ number, bytes: new Uint8Array(await blob.arrayBuffer()) });
    }
    return parts;
}

function join(parts) {
    return Buffer.concat(parts.map(({ bytes }) => bytes));
}

test('the parts of a file are the file', async () => {
    const { file } = photo('photos.zip', 3456);
    const source = new FileSource(file);
    const parts = await collect(source);
    assert.deepEqual(parts.map(({ number, bytes }) => [number, bytes.length]), [[1, PART], [2, PART], [3, PART], [4, 456]]);
    assert.deepEqual(join(parts), Buffer.from(await file.arrayBuffer()));
    assert.equal(source.bytes, 3456);
});

test('a file of whole parts has no empty last part', async () => {
    assert.equal((await collect(new FileSource(photo('photos.zip', 2 * PART).file))).length, 2);
});

test('parts that the server has are not sent again', async () => {
    const folder = new FolderSource('flight', [photo('flight/a.jpg', 2500), photo('flight/b.jpg', 1500)]);
    for (const source of [new FileSource(photo('photos.zip', 3456).file), folder]) {
        const all = await collect(source);
        const rest = await collect(source, new Set([1, 3]));
        assert.deepEqual(rest, all.filter(({ number }) => number !== 1 && number !== 3));
    }
});

test('a folder becomes a ZIP of the length that was announced', async () => {
    const source = new FolderSource('flight', [photo('flight/b.JPG', 1500), photo('flight/a.jpg', 2500)]);
    const zip = join(await collect(source));
    assert.equal(zip.length, source.bytes);
    assert.equal(zip.readUInt32LE(0), 0x04034b50); // local file header
    assert.equal(source.name, 'flight.zip');
    assert.equal(source.photos.length, 2);
    assert.ok(zip.includes('flight/a.jpg') && zip.includes('flight/b.JPG'));
});

test('the same photos make the same bytes in whatever order the browser lists them', async () => {
    const photos = [photo('flight/a.jpg', 700), photo('flight/b.jpg', 900), photo('flight/c.jpg', 300)];
    const one = new FolderSource('flight', photos);
    const other = new FolderSource('flight', [...photos].reverse());
    assert.deepEqual(join(await collect(one)), join(await collect(other)));
    assert.equal(one.fingerprint, other.fingerprint);
});

test('a photo that was changed makes another upload', () => {
    const before = new FolderSource('flight', [photo('flight/a.jpg', 700)]);
    const after = new FolderSource('flight', [photo('flight/a.jpg', 700, 1_700_000_001_000)]);
    assert.notEqual(before.fingerprint, after.fingerprint);
});

test('only photos are taken, and no clutter of the operating system', () => {
    const names = ['f/a.jpeg', 'f/b.dng', 'f/c.HEIC', 'f/d.JFIF', 'f/e.jpe', 'f/notes.txt', 'f/.hidden.jpg', '__MACOSX/f/a.jpeg', 'f/__MACOSX/a.jpg', 'f/.trash/a.jpg'];
    const source = new FolderSource('f', names.map((name) => photo(name, 10)));
    assert.deepEqual(source.entries.map(({ name }) => name), ['f/a.jpeg', 'f/b.dng', 'f/c.HEIC', 'f/d.JFIF', 'f/e.jpe']);
});

test('a chosen folder is named after itself', () => {
    const { file } = photo('a.jpg', 10);
    Object.defineProperty(file, 'webkitRelativePath', { value: 'meadow/2024/a.jpg' });
    const source = sourceOfFolder([file]);
    assert.equal(source.name, 'meadow.zip');
    assert.deepEqual(source.entries.map(({ name }) => name), ['meadow/2024/a.jpg']);
});

const fileEntry = (fullPath, file) => ({ isFile: true, name: file.name, fullPath, file: (found) => found(file) });

// As browsers do it: some entries at a time, then an empty list.
function folderEntry(name, children) {
    return {
        isFile: false,
        name,
        createReader: () => {
            const batches = [children.slice(0, 2), children.slice(2), []];
            return { readEntries: (found) => found(batches.shift()) };
        }
    };
}

const dropped = (...entries) => ({ items: entries.map((entry) => ({ webkitGetAsEntry: () => entry })), files: [] });

test('one dropped file is sent as it is', async () => {
    const { file } = photo('photos.zip', 10);
    const transfer = { ...dropped(fileEntry('/photos.zip', file)), files: [file] };
    assert.ok((await sourceOfDrop(transfer)) instanceof FileSource);
});

test('a dropped folder is walked to its end, through batches and subfolders', async () => {
    const entry = (path) => fileEntry(`/${path}`, photo(path, 10).file);
    const inner = folderEntry('day2', [entry('meadow/day2/d.jpg')]);
    const source = await sourceOfDrop(dropped(folderEntry('meadow', [entry('meadow/a.jpg'), entry('meadow/b.jpg'), entry('meadow/c.jpg'), inner])));
    assert.equal(source.name, 'meadow.zip');
    assert.deepEqual(source.entries.map(({ name }) => name), ['meadow/a.jpg', 'meadow/b.jpg', 'meadow/c.jpg', 'meadow/day2/d.jpg']);
});

test('several dropped photos make one ZIP', async () => {
    const source = await sourceOfDrop(dropped(...['a.jpg', 'b.jpg'].map((name) => fileEntry(`/${name}`, photo(name, 10).file))));
    assert.match(source.name, /^photos \d{4}-\d\d-\d\d\.zip$/);
    assert.deepEqual(source.entries.map(({ name }) => name), ['a.jpg', 'b.jpg']);
});

test('photos that a phone calls by one name are all sent', () => {
    const files = [10, 30, 20].map((size) => photo('image.jpg', size).file);
    const source = sourceOfFiles(files);
    assert.deepEqual(source.entries.map(({ name, size }) => [name, size]), [['image.jpg', 10], ['image_2.jpg', 20], ['image_3.jpg', 30]]);
    assert.equal(sourceOfFiles([...files].reverse()).fingerprint, source.fingerprint);
});

test('one photo is a photo and one archive an archive', () => {
    assert.ok(sourceOfFiles([photo('a.JPG', 10).file]) instanceof FolderSource);
    assert.ok(sourceOfFiles([photo('a.zip', 10).file]) instanceof FileSource);
});

const sent = (...names) => new FolderSource('f', names.map((name) => photo(`f/${name}`, 10))).entries.map(({ name }) => name.slice(2));

test('what no stage reads is not sent, and its name is kept to say why', () => {
    const source = new FolderSource('f', ['f/notes.pdf', 'f/.DS_Store', 'f/a.jpg'].map((name) => photo(name, 10)));
    assert.deepEqual(source.files.map(({ path }) => path), ['f/notes.pdf', 'f/a.jpg']);
    assert.equal(source.photos.length, 1);
});

test('control points and camera positions go along with the photos', () => {
    assert.deepEqual(sent('a.jpg', 'GCP_List.txt', 'sparse/0/cameras.bin', 'sparse/0/images.bin', 'sparse/0/points3D.bin', 'notes.txt').sort(),
        ['GCP_List.txt', 'a.jpg', 'sparse/0/cameras.bin', 'sparse/0/images.bin', 'sparse/0/points3D.bin']);
});

test('films are sent, with their telemetry, where there are too few photos for a scene', () => {
    const photos = ['1.jpg', '2.jpg', '3.jpg', '4.jpg'];
    assert.deepEqual(sent(...photos, 'DJI_1.MP4', 'DJI_1.SRT'), ['DJI_1.MP4', 'DJI_1.SRT']);
    assert.deepEqual(sent(...photos, '5.jpg', 'DJI_1.MP4', 'DJI_1.SRT'), [...photos, '5.jpg']);
});
