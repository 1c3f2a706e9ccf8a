/* Calls of the server. Every failure is an ApiError with a sentence that can be shown. */
import type {
    Alert,
    AlertFilter,
    AlertState,
    AlertSummary,
    ApiErrorBody,
    AuditEntry,
    Container,
    ContainerDetail,
    Coverage,
    Ledger,
    Overview,
    Profile,
    Session,
    SinkTest,
    Suppression,
    Verdict,
    WorkloadDetail,
    WorkloadSeries,
} from './api';

import { now } from './clock.svelte';

const ROOT = '/api/v1';
const PATIENCE_MS = 15000;

export class ApiError extends Error {
    constructor(
        readonly status: number, // 0: no answer at all
        readonly code: string,
        message: string,
    ) {
        super(message);
    }

    /** The server is not there, or something before it answers in its place. */
    get unreachable(): boolean {
        return (
            this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504
        );
    }
}

let csrf = '';
let refused: (e: ApiError) => void = () => {};
let renew: () => Promise<void> = async () => {};

/** Called on every 401 and on "password_change_required", wherever it happens. */
export function onRefused(handler: (e: ApiError) => void): void {
    refused = handler;
}

/** Called when the CSRF token is that of an earlier session: another tab has signed in anew. What was
 * asked for is asked once more, unless the handler throws. */
export function onStale(handler: () => Promise<void>): void {
    renew = handler;
}

export function setCsrf(token: string): void {
    csrf = token;
}

type Query = Record<string, string | number | boolean | null | undefined>;

function queryString(query: Query): string {
    const p = new URLSearchParams();
    for (const [k, v] of Object.entries(query))
        if (v !== undefined && v !== null && v !== '') p.set(k, String(v));
    const s = p.toString();
    return s ? `?${s}` : '';
}

function failure(status: number, text: string): ApiError {
    try {
        const { error } = JSON.parse(text) as ApiErrorBody;
        if (error?.message) return new ApiError(status, error.code ?? 'error', error.message);
    } catch {
        /* not ours: a proxy's page */
    }
    return new ApiError(status, 'error', `The server answered with status ${status}.`);
}

async function ask<T>(method: string, path: string, query: Query, body: unknown): Promise<T> {
    const headers: Record<string, string> = { Accept: 'application/json' };
    if (method !== 'GET') headers['X-CSRF-Token'] = csrf;
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), PATIENCE_MS);
    let status: number;
    let text: string;
    try {
        const answer = await fetch(ROOT + path + queryString(query), {
            method,
            headers,
            body: body === undefined ? undefined : JSON.stringify(body),
            credentials: 'same-origin',
            cache: 'no-store',
            signal: stop.signal,
        });
        status = answer.status;
        now.heard(answer.headers.get('Date'));
        text = await answer.text();
    } catch {
        throw new ApiError(0, 'unreachable', 'The Vigia server does not answer.');
    } finally {
        clearTimeout(timer);
    }
    if (status < 200 || status >= 300) {
        const e = failure(status, text);
        if (path !== '/login' && (status === 401 || e.code === 'password_change_required'))
            refused(e);
        throw e;
    }
    try {
        return (text ? JSON.parse(text) : {}) as T;
    } catch {
        throw new ApiError(status, 'bad_answer', 'The server sent an answer that is not JSON.');
    }
}

async function call<T>(
    method: string,
    path: string,
    query: Query = {},
    body?: unknown,
): Promise<T> {
    try {
        return await ask<T>(method, path, query, body);
    } catch (e) {
        if (!(e instanceof ApiError) || e.code !== 'csrf') throw e;
        await renew();
        return ask<T>(method, path, query, body);
    }
}

const id = encodeURIComponent;

export const api = {
    session: () => call<Session>('GET', '/session'),
    login: (name: string, password: string) =>
        call<Session>('POST', '/login', {}, { name, password }),
    logout: () => call<unknown>('POST', '/logout', {}, {}),
    password: (old: string, fresh: string) =>
        call<Session>('POST', '/password', {}, { old, new: fresh }),

    overview: () => call<Overview>('GET', '/overview'),
    alerts: (f: AlertFilter) =>
        call<{ alerts: AlertSummary[]; total: number }>('GET', '/alerts', { ...f }),
    alert: (key: string) => call<Alert>('GET', `/alerts/${id(key)}`),
    judge: (key: string, change: { state?: AlertState; verdict?: Verdict; note?: string }) =>
        call<Alert>('POST', `/alerts/${id(key)}`, {}, change),

    suppressions: () => call<{ suppressions: Suppression[] }>('GET', '/suppressions'),
    suppress: (s: { workload: string; key: string; expires: number; reason: string }) =>
        call<Suppression>('POST', '/suppressions', {}, s),
    unsuppress: (key: string) => call<unknown>('DELETE', `/suppressions/${id(key)}`),

    workloads: () => call<{ workloads: Profile[] }>('GET', '/workloads'),
    workload: (key: string) => call<WorkloadDetail>('GET', '/workload', { key }),
    series: (key: string, from: number, until: number) =>
        call<WorkloadSeries>('GET', '/workload/series', { key, from, until }),
    containers: (f: { workload?: string; state?: string }) =>
        call<{ containers: Container[] }>('GET', '/containers', f),
    container: (key: string) => call<ContainerDetail>('GET', '/container', { key }),

    coverage: () => call<Coverage>('GET', '/coverage'),
    ledger: () => call<Ledger>('GET', '/ledger'),
    audit: () => call<{ audit: AuditEntry[]; total: number }>('GET', '/audit'),
    testSinks: () => call<{ sinks: SinkTest[] }>('POST', '/sinks/test', {}, {}),
};
