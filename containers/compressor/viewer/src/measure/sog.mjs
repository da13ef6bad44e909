// Reads the Gaussians of a bundled SOG in the browser: what compressor/sog/ writes, without colours.
import { gaussiansOf } from './picking.mjs';

const MIN_SCALE = 1e-3; // of the scene's unit: thinner Gaussians only cost digits
const FIRST_TAG = 252;
const END_OF_ZIP = 0x06054b50;

async function inflated(bytes) {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
    return new Uint8Array(await new Response(stream).arrayBuffer());
}

// The files of a ZIP by name, as its central directory lists them.
export async function unzipped(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let end = bytes.length - 22;
    while (view.getUint32(end, true) !== END_OF_ZIP) {
        end--;
    }
    const files = {};
    let at = view.getUint32(end + 16, true);
    for (let left = view.getUint16(end + 10, true); left > 0; left--) {
        const [method, size] = [view.getUint16(at + 10, true), view.getUint32(at + 20, true)];
        const [name, extra, comment] = [28, 30, 32].map((offset) => view.getUint16(at + offset, true));
        const local = view.getUint32(at + 42, true);
        const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
        const content = bytes.subarray(start, start + size);
        files[new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + name))] = method ? await inflated(content) : content;
        at += 46 + name + extra + comment;
    }
    return files;
}

// The exact RGBA bytes of a lossless WebP: a 2D canvas would multiply colours by alpha and divide again.
async function pixels(bytes) {
    const exact = { premultiplyAlpha: 'none', colorSpaceConversion: 'none' };
    const bitmap = await createImageBitmap(new Blob([bytes], { type: 'image/webp' }), exact);
    const { width, height } = bitmap;
    const gl = new OffscreenCanvas(1, 1).getContext('webgl2');
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
    gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, width, height, 0, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
    gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
    const found = new Uint8Array(4 * width * height);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, found);
    gl.getExtension('WEBGL_lose_context')?.loseContext();
    return found;
}

export async function readSog(bytes) {
    const files = await unzipped(bytes);
    const meta = JSON.parse(new TextDecoder().decode(files['meta.json']));
    const names = [...meta.means.files, meta.scales.files[0], meta.quats.files[0], meta.sh0.files[0]];
    const images = [];
    for (const name of names) { // one after the other: each takes a drawing context
        images.push(await pixels(files[name]));
    }
    return decoded(meta, images);
}

// From meta.json and the images' bytes: positions' low and high bytes, scales, rotations, colours with opacity.
export function decoded(meta, [low, high, scales, quats, colours]) {
    const { mins, maxs } = meta.means;
    const deviations = meta.scales.codebook.map((logarithm) => Math.max(Math.exp(logarithm), MIN_SCALE));
    const axes = [0, 1, 2];
    const meanOf = (i) => axes.map((k) => {
        const value = mins[k] + (maxs[k] - mins[k] || 1) * (256 * high[4 * i + k] + low[4 * i + k]) / 65535;
        return Math.sign(value) * (Math.exp(Math.abs(value)) - 1);
    });
    const quaternionOf = (i) => {
        const smallest = axes.map((k) => (quats[4 * i + k] / 255 * 2 - 1) / Math.SQRT2);
        const rest = Math.sqrt(Math.max(0, 1 - smallest.reduce((sum, value) => sum + value * value, 0)));
        smallest.splice(quats[4 * i + 3] - FIRST_TAG, 0, rest);
        return smallest;
    };
    const scaleOf = (i) => axes.map((k) => deviations[scales[4 * i + k]]);
    return gaussiansOf(meta.count, meanOf, scaleOf, quaternionOf, (i) => colours[4 * i + 3] / 255);
}
