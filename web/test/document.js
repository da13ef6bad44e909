// A stand-in for the browser's document: elements by id, made when they are first asked for.
class Element {
    constructor() {
        Object.assign(this, { children: [], dataset: {}, hidden: false, value: '', text: '' });
        this.classList = { toggle: () => null, add: () => null, remove: () => null };
    }
    get textContent() {
        return this.text + this.children.map((child) => child?.textContent ?? child).join('');
    }
    set textContent(text) {
        Object.assign(this, { text: text ?? '', children: [] });
    }
    get childElementCount() {
        return this.children.length;
    }
    get firstElementChild() {
        return this.children[0];
    }
    replaceChildren(...children) {
        Object.assign(this, { text: '', children: [] });
        this.append(...children);
    }
    append(...children) {
        children.forEach((child) => { this.insertBefore(child, null); });
    }
    insertBefore(child, next) {
        if (child instanceof Element) {
            child.remove();
            child.parent = this;
        }
        this.children.splice(next === null ? this.children.length : this.children.indexOf(next), 0, child);
    }
    remove() {
        this.parent?.children.splice(this.parent.children.indexOf(this), 1);
        this.parent = undefined;
    }
    replaceWith(other) {
        this.parent.insertBefore(other, this);
        this.remove();
    }
    getAttribute(name) {
        return this[name];
    }
    setAttribute = (name, value) => { this[name] = value; };
    removeAttribute = (name) => { delete this[name]; };
    contains = () => false;
    scrollIntoView = () => null;
    focus = () => null;
    select = () => null;
    reset = () => null;
}

// Makes the document, and returns the function that finds an element of it.
export function openDocument() {
    const elements = new Map();
    const find = (id) => {
        if (!elements.has(id)) {
            elements.set(id, new Element());
        }
        return elements.get(id);
    };
    globalThis.document = { getElementById: find, createElement: () => new Element(), querySelectorAll: () => [], activeElement: null };
    return find;
}

// Lets everything go on that waits for nothing but a promise.
export const settled = () => new Promise((resolve) => { setTimeout(resolve, 5); });
