/* Fresh data while somebody looks: ask, wait, ask again; silent while the page is hidden. */
import { untrack } from 'svelte';
import { ApiError } from './client';

const running = new Set<Poll<unknown>>();

class Connection {
    lost = $state(false);
    since = $state(0);

    failed(): void {
        if (!this.lost) this.since = Date.now() / 1000;
        this.lost = true;
    }

    worked(): void {
        if (this.lost) this.lost = false;
    }

    retry(): void {
        for (const poll of running) void poll.refresh();
    }
}

export const connection = new Connection();

export class Poll<T> {
    data = $state.raw<T | undefined>(undefined);
    error = $state.raw<ApiError | undefined>(undefined);
    private timer: ReturnType<typeof setTimeout> | undefined;
    private turn = 0;
    private alive = false;

    constructor(
        private readonly load: () => Promise<T>,
        private readonly every_ms = 1500,
    ) {}

    /** Start in an $effect; what it returns stops it. */
    start(): () => void {
        const wake = () => {
            if (!document.hidden) void this.refresh();
        };
        untrack(() => {
            this.alive = true;
            running.add(this as Poll<unknown>);
            document.addEventListener('visibilitychange', wake);
            void this.refresh();
        });
        return () => {
            this.alive = false;
            this.turn++;
            clearTimeout(this.timer);
            running.delete(this as Poll<unknown>);
            document.removeEventListener('visibilitychange', wake);
        };
    }

    /** Take a document that a POST has just returned. */
    set(data: T): void {
        this.turn++;
        this.data = data;
        this.plan();
    }

    async refresh(): Promise<void> {
        clearTimeout(this.timer);
        const turn = ++this.turn; // an answer that was overtaken is dropped
        try {
            const data = await this.load();
            connection.worked();
            if (turn !== this.turn) return;
            this.data = data;
            this.error = undefined;
        } catch (e) {
            if (turn !== this.turn) return;
            if (!(e instanceof ApiError)) throw e;
            if (e.unreachable) connection.failed();
            else connection.worked();
            this.error = e;
            if (e.status === 401) return;
        }
        this.plan();
    }

    private plan(): void {
        clearTimeout(this.timer);
        if (!this.alive || document.hidden) return;
        this.timer = setTimeout(() => void this.refresh(), this.every_ms);
    }
}
