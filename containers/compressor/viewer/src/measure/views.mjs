// Views that a reader of the page keeps: poses of the camera with what was measured, and notes, which are pinned to points. They stay in this browser, where it
// lets the page keep anything: a page that was opened from a disk or sits in a frame may have no storage. Pages of one
// bucket, or of one disk, share theirs: a scene is told from others of the same title by the size of its splat.
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
            // they live as long as the page
        }
    }
}
