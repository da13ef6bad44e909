// Messages that all parts of the page use: notice, toast, question, announcement.
import { SessionEnded, explain } from './errors.js';
import { make } from './words.js';

export const byId = (id) => document.getElementById(id);
let signIn = () => {};

export function onSignIn(act) {
    signIn = act;
}

// Shows an error at the top of the page in plain words, with the next step if there is one.
export function fail(error) {
    const { message, hint } = explain(error);
    console.error(error);
    const parts = [make('p', message), ...(hint ? [make('p', hint)] : [])];
    if (error instanceof SessionEnded) {
        byId('account').replaceChildren();
        parts.push(make('button', 'Sign in', { className: 'primary', onclick: () => signIn() }));
    }
    byId('notice').replaceChildren(...parts);
    byId('notice').hidden = false;
    byId('notice').scrollIntoView({ block: 'nearest' });
}

export function clearNotice() {
    byId('notice').hidden = true;
    byId('notice').replaceChildren();
}

// Puts a fresh frame in the place of the frame `id`, and returns it. Only a frame's first page adds nothing to the browser's
// history; after others, Back would lead through what frames have shown.
export function emptyFrame(id) {
    const fresh = byId(id).cloneNode();
    fresh.removeAttribute('src');
    byId(id).replaceWith(fresh);
    return fresh;
}

// For screen readers, which read the text only when it changes.
export function announce(text) {
    if (byId('announcement').textContent !== text) {
        byId('announcement').textContent = text;
    }
}

export function toast(text, label, href) {
    const close = () => byId('toast').replaceChildren();
    byId('toast').replaceChildren(text, make('a', label, { href, onclick: close }));
}

// Resolves to whether the answer is yes; if there is a `value` to edit, to the edited value, or false.
export async function ask({ title, text, yes, no, value }) {
    for (const [part, words] of Object.entries({ title, text, yes, no })) {
        byId(`ask-${part}`).textContent = words;
    }
    const dialog = byId('ask');
    byId('ask-value').hidden = value === undefined;
    byId('ask-value').value = value ?? '';
    dialog.returnValue = 'no';
    byId('ask-no').onclick = () => dialog.close('no');
    dialog.showModal();
    await new Promise((resolve) => { dialog.onclose = resolve; });
    return dialog.returnValue === 'yes' && (value === undefined || byId('ask-value').value.trim());
}
