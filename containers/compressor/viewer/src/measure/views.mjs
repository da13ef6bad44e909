// Views that a reader of the page keeps: poses of the camera with the measurements, and notes, which are pinned to points.
// They stay in this browser, if it lets the page store anything: a page that was opened from a disk or sits in a frame may
// have no storage. Pages of one bucket, or of one disk, share their storage, so a scene is distinguished from others of the
// same title by the size of its splat.
export class SavedViews {
    constructor(title, size) {
        this.key = `views of ${title}, ${size}`;
        try {
            this.views = JSON.parse(localStorage.getItem(this.key)) ?? [];
        } catch {
            this.views = [];
        }
    }

    add(view) {
        this.views.push(view);
        this.store();
    }

    remove(index) {
        this.views.splice(index, 1);
        this.store();
    }

    get notes() {
        return this.views.filter(({ note }) => note);
    }

    store() {
        try {
            localStorage.setItem(this.key, JSON.stringify(this.views));
        } catch {
            // they last as long as the page
        }
    }
}
