// Reads a ZIP's list of files (APPNOTE 4.3) from its end, without reading the rest.

const END = 0x06054b50;
const END64 = 0x06064b50;
const LOCATOR64 = 0x07064b50;
const ENTRY = 0x02014b50;
const [END_BYTES, END64_BYTES, LOCATOR_BYTES, ENTRY_BYTES] = [22, 56, 20, 46];
const MAX_COMMENT = 0xffff;
const MAX_LIST = 64 * 1024 * 1024; // of the list itself: hundreds of thousands of files
const ENCRYPTED = 0x1;

// The entries as { name, bytes, encrypted, method }; null if the file is not a ZIP, undefined if the list is too long to read here.
export async function readEntries(file) {
    const tail = await view(file, Math.max(0, file.size - END_BYTES - MAX_COMMENT - LOCATOR_BYTES - END64_BYTES), file.size);
    const end = findEnd(tail);
    if (end < 0) {
        return null;
    }
    let [count, size, offset, trailer] = [tail.getUint16(end + 10, true), tail.getUint32(end + 12, true), tail.getUint32(end + 16, true), 0];
    const end64 = end - LOCATOR_BYTES - END64_BYTES;
    if (end64 >= 0 && tail.getUint32(end - LOCATOR_BYTES, true) === LOCATOR64 && tail.getUint32(end64, true) === END64) {
        [count, size, offset] = [tail.getBigUint64(end64 + 32, true), tail.getBigUint64(end64 + 40, true), tail.getBigUint64(end64 + 48, true)].map(Number);
        trailer = LOCATOR_BYTES + END64_BYTES;
    }
    // other data may precede the archive, so the list is located from its end, where the end record begins
    const start = file.size - tail.byteLength + end - trailer - size;
    if (start < 0 || start < offset) {
        return null;
    }
    if (size > MAX_LIST) {
        return undefined;
    }
    return entriesIn(await view(file, start, start + size), count);
}

async function view(file, from, to) {
    return new DataView(await file.slice(from, to).arrayBuffer());
}

function findEnd(tail) {
    for (let at = tail.byteLength - END_BYTES; at >= 0; at -= 1) {
        if (tail.getUint32(at, true) === END) {
            return at;
        }
    }
    return -1;
}

function entriesIn(list, count) {
    const entries = [];
    for (let at = 0; at < list.byteLength;) {
        if (at + ENTRY_BYTES > list.byteLength || list.getUint32(at, true) !== ENTRY) {
            return null;
        }
        const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((field) => list.getUint16(at + field, true));
        const name = new TextDecoder().decode(new Uint8Array(list.buffer, at + ENTRY_BYTES, Math.min(nameBytes, list.byteLength - at - ENTRY_BYTES)));
        entries.push({
            name: name.replaceAll('\\', '/'),
            bytes: list.getUint32(at + 24, true),
            encrypted: (list.getUint16(at + 8, true) & ENCRYPTED) !== 0,
            method: list.getUint16(at + 10, true)
        });
        at += ENTRY_BYTES + nameBytes + extraBytes + commentBytes;
    }
    return entries.length === count || count === 0xffff ? entries : null;
}
