// Sign-in by authorization code with PKCE, with stand-ins for the browser and the issuer.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { SessionEnded, Unreachable } from '../src/errors.js';
import { Session } from '../src/session.js';

const CONFIG = { clientId: 'client', signInUrl: 'https://issuer.example.com/authorize', tokenUrl: 'https://issuer.example.com/token' };
const realFetch = globalThis.fetch;
let storage;
let asked;
let answer;

class Storage {
    values = new Map();
    getItem = (name) => this.values.get(name) ?? null;
    setItem = (name, value) => { this.values.set(name, value); };
    removeItem = (name) => { this.values.delete(name); };
}

function token(secondsLeft, claims = {}) {
    const body = { exp: Date.now() / 1000 + secondsLeft, ...claims };
    return `header.${Buffer.from(JSON.stringify(body)).toString('base64url')}.signature`;
}

function browser(search = '') {
    globalThis.location = { origin: 'https://page.example.com', pathname: '/', search, hash: '#job=a-1', assign: (url) => { globalThis.location.left = url; } };
    globalThis.history = { replaceState: (_state, _title, url) => { globalThis.history.shown = url; } };
}

beforeEach(() => {
    storage = new Storage();
    globalThis.sessionStorage = new Storage();
    browser();
    asked = [];
    answer = () => Response.json({ id_token: token(3600), refresh_token: 'refresh' });
    globalThis.fetch = async (url, { body }) => {
        asked.push({ url, ...Object.fromEntries(body) });
        return answer();
    };
});

afterEach(() => {
    globalThis.fetch = realFetch;
    for (const name of ['location', 'history', 'sessionStorage']) {
        delete globalThis[name];
    }
});

test('nobody is signed in at first, and a call without a token says so', async () => {
    const session = new Session(CONFIG, storage);
    assert.equal(session.signedIn, false);
    assert.equal(session.email, undefined);
    await assert.rejects(session.token(), SessionEnded);
});

test('an address outside ASCII is read from the token', () => {
    const tokens = { id_token: token(3600, { email: 'jörg@example.com' }) };
    assert.equal(new Session({ ...CONFIG, tokens }, storage).email, 'jörg@example.com');
});

test('a token is refreshed a minute before its end, and not earlier', async () => {
    const fresh = { id_token: token(90), refresh_token: 'first' };
    assert.equal(await new Session({ ...CONFIG, tokens: fresh }, storage).token(), fresh.id_token);
    assert.equal(asked.length, 0);
    const session = new Session({ ...CONFIG, tokens: { id_token: token(30), refresh_token: 'first' } }, storage);
    const renewed = await session.token();
    assert.deepEqual(asked, [{ url: CONFIG.tokenUrl, client_id: 'client', grant_type: 'refresh_token', refresh_token: 'first' }]);
    assert.equal(renewed, session.tokens.id_token);
    assert.equal(new Session(CONFIG, storage).tokens.id_token, renewed);
});

test('a refresh that is refused ends the session', async () => {
    answer = () => new Response('', { status: 400 });
    const session = new Session({ ...CONFIG, tokens: { id_token: token(30), refresh_token: 'old' } }, storage);
    await assert.rejects(session.token(), SessionEnded);
    assert.equal(session.signedIn, false);
});

test('a session without a refresh token ends when its token does, and asks nobody', async () => {
    const session = new Session({ ...CONFIG, tokens: { id_token: token(30) } }, storage);
    await assert.rejects(session.token(), SessionEnded);
    assert.equal(asked.length, 0);
});

test('callers at the same moment share one refresh: an issuer may take a refresh token only once', async () => {
    const session = new Session({ ...CONFIG, tokens: { id_token: token(30), refresh_token: 'first' } }, storage);
    const tokens = await Promise.all([session.token(), session.token(), session.token()]);
    assert.equal(asked.length, 1);
    assert.equal(new Set(tokens).size, 1);
});

test('a token that the server refused is refreshed once for all callers, whatever the clock of the device says', async () => {
    const old = token(3600, { jti: 'old' });
    const session = new Session({ ...CONFIG, tokens: { id_token: old, refresh_token: 'first' } }, storage);
    const [fresh, same] = await Promise.all([session.token(old), session.token(old)]);
    assert.equal(await session.token(old), fresh);
    assert.notEqual(fresh, old);
    assert.equal(same, fresh);
    assert.equal(asked.length, 1);
    const last = new Session({ ...CONFIG, tokens: { id_token: old } }, storage);
    await assert.rejects(last.token(old), SessionEnded);
    assert.equal(last.signedIn, false);
});

test('an issuer that is overloaded or out of reach ends no session', async () => {
    const session = new Session({ ...CONFIG, tokens: { id_token: token(30), refresh_token: 'first' } }, storage);
    answer = () => new Response('', { status: 503 });
    await assert.rejects(session.token(), { status: 503 });
    answer = () => { throw new TypeError('Failed to fetch'); };
    await assert.rejects(session.token(), Unreachable);
    assert.equal(session.signedIn, true);
});

test('mails go to a verified address alone, and to none that other letters could stand for', () => {
    const mailbox = (claims) => new Session({ ...CONFIG, tokens: { id_token: token(3600, claims) } }, storage).mailbox;
    assert.equal(mailbox({ email: 'a@example.com', email_verified: true }), 'a@example.com');
    assert.equal(mailbox({ email: 'a@example.com', email_verified: 'true' }), 'a@example.com');
    assert.equal(mailbox({ email: 'a@example.com', email_verified: false }), null);
    assert.equal(mailbox({ email: 'jörg@example.com', email_verified: true }), null);
    assert.equal(mailbox({}), null);
});

test('an issuer is asked for the scope that its configuration names', async () => {
    await new Session(CONFIG, storage).signIn();
    assert.equal(new URL(globalThis.location.left).searchParams.get('scope'), 'openid email');
    await new Session({ ...CONFIG, scope: 'openid email offline_access' }, storage).signIn();
    assert.equal(new URL(globalThis.location.left).searchParams.get('scope'), 'openid email offline_access');
});

test('signing out revokes the refresh token and leaves by the page of the issuer', async () => {
    const config = { ...CONFIG, revokeUrl: 'https://issuer.example.com/revoke', signOutUrl: 'https://issuer.example.com/logout' };
    const session = new Session(config, storage);
    await session.exchange({ grant_type: 'authorization_code', code: 'abc' });
    assert.equal(new Session(config, storage).signedIn, true);
    asked = [];
    answer = () => { throw new TypeError('no connection'); };
    await session.signOut();
    assert.deepEqual(asked, [{ url: config.revokeUrl, token: 'refresh', client_id: 'client' }]);
    assert.equal(session.signedIn, false);
    assert.equal(storage.values.size, 0);
    const left = new URL(globalThis.location.left);
    assert.equal(left.origin + left.pathname, config.signOutUrl);
    assert.deepEqual(Object.fromEntries(left.searchParams), { client_id: 'client', logout_uri: 'https://page.example.com/' });
});

test('the tokens live in the storage of the tab', async () => {
    await new Session(CONFIG).exchange({ grant_type: 'authorization_code', code: 'abc' });
    assert.equal(globalThis.sessionStorage.values.size, 1);
});

test('sign-in there and back: the verifier of the code belongs to the challenge, and the page is where it was', async () => {
    const session = new Session(CONFIG, storage);
    await session.signIn();
    const query = new URL(globalThis.location.left).searchParams;
    assert.equal(query.get('code_challenge_method'), 'S256');
    assert.equal(query.get('redirect_uri'), 'https://page.example.com/');
    browser(`?code=abc&state=${query.get('state')}`);
    assert.equal(await session.finishSignIn(), true);
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(asked[0].code_verifier));
    assert.equal(Buffer.from(digest).toString('base64url'), query.get('code_challenge'));
    assert.equal(asked[0].code, 'abc');
    assert.equal(globalThis.history.shown, '/#job=a-1');
    assert.equal(session.signedIn, true);
});

test('a code that this page did not ask for is not exchanged', async () => {
    const session = new Session(CONFIG, storage);
    browser('?code=abc&state=forged');
    assert.equal(await session.finishSignIn(), false);
    await session.signIn();
    browser('?code=abc&state=forged');
    assert.equal(await session.finishSignIn(), false);
    assert.equal(asked.length, 0);
});

test('a code is exchanged once', async () => {
    const session = new Session(CONFIG, storage);
    await session.signIn();
    browser(`?code=abc&state=${new URL(globalThis.location.left).searchParams.get('state')}`);
    await session.finishSignIn();
    assert.equal(await session.finishSignIn(), false);
    assert.equal(asked.length, 1);
});
