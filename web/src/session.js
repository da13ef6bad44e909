// Signs the user in: authorization code with PKCE (RFC 7636) on the issuer's own page, then tokens that are refreshed.
import { ApiError, SessionEnded, isFinal, reached } from './errors.js';

const STORE = 'spaceport.session';
const ASKED = 'spaceport.sign-in'; // the sign-in that is under way on the issuer's page
const EARLY = 60; // seconds before its expiry at which a token is refreshed

const decode = (part) => JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0))));
const base64url = (bytes) => btoa(String.fromCharCode(...bytes)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');

export class Session {
    // config: { clientId, signInUrl, scope?, tokenUrl, revokeUrl?, signOutUrl?, tokens? }; `tokens` come from a local cloud, which
    // has a single customer. Tokens belong to this tab and end with it; the issuer's own cookie signs other tabs in.
    constructor(config, storage = sessionStorage) {
        this.config = config;
        this.storage = storage;
        this.tokens = config.tokens ?? JSON.parse(storage.getItem(STORE) ?? 'null');
    }

    get signedIn() {
        return this.tokens !== null && this.tokens !== undefined;
    }

    get claims() {
        return this.signedIn ? decode(this.tokens.id_token.split('.')[1]) : {};
    }

    get email() {
        return this.claims.email;
    }

    // The only address that mails go to, because the issuer has verified it.
    get mailbox() {
        const { email, email_verified: verified } = this.claims;
        return String(verified) === 'true' && /^[\x21-\x7e]+$/.test(email ?? '') ? email : null;
    }

    // `refused`: a token that the server did not take, whatever this device's clock says; it is refreshed.
    async token(refused) {
        if (!this.signedIn) {
            throw new SessionEnded();
        }
        if (this.tokens.id_token === refused || this.claims.exp - Date.now() / 1000 < EARLY) {
            if (!this.tokens.refresh_token) {
                this.forget();
                throw new SessionEnded();
            }
            // one for all callers: an issuer may accept each refresh token only once
            const grant = { grant_type: 'refresh_token', refresh_token: this.tokens.refresh_token };
            this.refreshing ??= this.exchange(grant).finally(() => { this.refreshing = undefined; });
            await this.refreshing;
        }
        return this.tokens.id_token;
    }

    async exchange(grant) {
        const answer = await reached(fetch(this.config.tokenUrl, {
            method: 'POST',
            headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
            body: new URLSearchParams({ client_id: this.config.clientId, ...grant })
        }));
        if (!answer.ok && isFinal(answer)) {
            this.forget();
            throw new SessionEnded();
        }
        if (!answer.ok) { // the issuer is overloaded, and the refresh token is still valid
            throw new ApiError(answer.status, {});
        }
        this.tokens = { ...this.tokens, ...JSON.parse(await reached(answer.text())) };
        this.storage.setItem(STORE, JSON.stringify(this.tokens));
    }

    async signIn() {
        const verifier = base64url(crypto.getRandomValues(new Uint8Array(32)));
        const state = base64url(crypto.getRandomValues(new Uint8Array(16)));
        sessionStorage.setItem(ASKED, JSON.stringify({ verifier, state, back: location.hash }));
        const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier));
        const query = new URLSearchParams({
            response_type: 'code',
            client_id: this.config.clientId,
            redirect_uri: this.redirect,
            scope: this.config.scope ?? 'openid email',
            state,
            code_challenge: base64url(new Uint8Array(digest)),
            code_challenge_method: 'S256'
        });
        location.assign(`${this.config.signInUrl}?${query}`);
    }

    // Completes the sign-in if the browser has just returned from the issuer's page, and returns whether it has.
    async finishSignIn() {
        const query = new URLSearchParams(location.search);
        const asked = JSON.parse(sessionStorage.getItem(ASKED) ?? 'null');
        if (!query.has('code') || asked === null || query.get('state') !== asked.state) {
            return false;
        }
        sessionStorage.removeItem(ASKED);
        history.replaceState(null, '', location.pathname + asked.back);
        await this.exchange({
            grant_type: 'authorization_code',
            code: query.get('code'),
            redirect_uri: this.redirect,
            code_verifier: asked.verifier
        });
        return true;
    }

    // Ends the session here and at the issuer: the refresh token is revoked (RFC 7009), and the issuer's sign-out page
    // deletes its cookie, which would otherwise sign in whoever presses "Sign in" next.
    async signOut() {
        const { revokeUrl, signOutUrl, clientId } = this.config;
        const token = this.tokens?.refresh_token;
        this.forget();
        if (revokeUrl && token) {
            await fetch(revokeUrl, { method: 'POST', body: new URLSearchParams({ token, client_id: clientId }) }).catch(() => null);
        }
        const query = new URLSearchParams({ client_id: clientId, logout_uri: this.redirect });
        location.assign(signOutUrl ? `${signOutUrl}?${query}` : this.redirect);
    }

    forget() {
        this.tokens = null;
        this.storage.removeItem(STORE);
    }

    get redirect() {
        return location.origin + location.pathname;
    }
}
