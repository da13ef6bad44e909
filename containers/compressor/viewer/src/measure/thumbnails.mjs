// Thumbnails of the photos (compressor/thumbnails.py), loaded when the first of them is shown.

// `sizes`: the bytes of each photo's JPEG, 0 if it has none; `load` promises all JPEGs, one after the other, as an ArrayBuffer.
export class Thumbnails {
    constructor(sizes, load) {
        Object.assign(this, { sizes, load });
    }

    has(index) {
        return this.sizes[index] > 0;
    }

    async picture(index) {
        this.bytes ??= this.load().catch((error) => {
            this.bytes = undefined; // the next call tries again
            throw error;
        });
        const start = this.sizes.slice(0, index).reduce((sum, size) => sum + size, 0);
        const jpeg = (await this.bytes).slice(start, start + this.sizes[index]);
        return createImageBitmap(new Blob([jpeg], { type: 'image/jpeg' }));
    }
}
