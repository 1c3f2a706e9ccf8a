/* Who is signed in, and what the page shows because of it. */
import { api, ApiError, onRefused, onStale, setCsrf } from './client';
import type { Session } from './api';
import { connection } from './poll.svelte';

class SessionState {
    user = $state.raw<Session | undefined>(undefined);
    phase = $state<'asking' | 'out' | 'change' | 'in' | 'unreachable'>('asking');
    ended = $state(false); // it was in, and the server no longer knows it
    stays = $state(''); // why signing out did not

    constructor() {
        onRefused((e) => {
            if (e.code === 'password_change_required') {
                this.phase = 'change';
            } else if (this.phase === 'in' || this.phase === 'change') {
                this.ended = true;
                this.phase = 'out';
            }
        });
        onStale(async () => {
            const name = this.user?.name;
            this.accept(await api.session());
            if (this.user?.name !== name)
                throw new ApiError(
                    403,
                    'other_user',
                    `You are signed in as ${this.user?.name} now; nothing was changed.`,
                );
        });
    }

    /* The server refuses what a role may not do (x-role of docs/openapi.json): here so that the page
     * does not offer it, nor ask for it. Viewers only look. */
    get mayAct(): boolean {
        return this.user?.role !== 'viewer';
    }

    get mayAdminister(): boolean {
        return this.user?.role === 'admin';
    }

    private accept(s: Session): void {
        this.user = s;
        setCsrf(s.csrf);
        this.ended = false;
        this.stays = '';
        this.phase = s.must_change ? 'change' : 'in';
    }

    async ask(): Promise<void> {
        try {
            this.accept(await api.session());
            connection.worked();
        } catch (e) {
            this.phase = e instanceof ApiError && e.unreachable ? 'unreachable' : 'out';
        }
    }

    async login(name: string, password: string): Promise<void> {
        this.accept(await api.login(name, password));
    }

    async changePassword(old: string, fresh: string): Promise<void> {
        this.accept(await api.password(old, fresh));
    }

    async logout(): Promise<void> {
        this.stays = '';
        try {
            await api.logout();
        } catch (e) {
            if (!(e instanceof ApiError)) throw e;
            if (e.status !== 401) {
                this.stays = e.message;
                return;
            }
        }
        this.user = undefined;
        this.ended = false;
        this.phase = 'out';
    }
}

export const session = new SessionState();
