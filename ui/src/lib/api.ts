/* The JSON that the server speaks, as docs/openapi.json has it, one type a document. Times are wall
 * seconds. */

export interface ApiErrorBody {
    error: { code: string; message: string };
}

export interface Session {
    name: string;
    role: 'viewer' | 'analyst' | 'admin';
    must_change: boolean;
    csrf: string;
}

export type AlertState = 'new' | 'acknowledged' | 'closed';
export type Verdict = 'false alarm' | 'expected' | 'incident';
export type Channel = 'novelty' | 'sequence' | 'frequency';
export type Phase = 'steady' | 'startup';
export type ProfileState = 'learning' | 'ready' | 'drifting' | 'retired';

export interface AlertContainer {
    key: string;
    id: string;
    name: string;
    image: string;
    namespace: string;
    pod: string;
    node: string;
}

export interface AlertSummary {
    id: string;
    state: AlertState;
    verdict: Verdict | null;
    score: number;
    provisional: boolean;
    held: boolean;
    phase: Phase;
    first: number;
    last: number;
    open: boolean;
    workload: string;
    container: AlertContainer;
    headline: string;
    replicas: number;
    repeats: number;
}

export interface AlertProcess {
    id: string;
    parent: string | null;
    tgid: number;
    program: string;
    arguments: string;
    first: number;
    last: number;
    strange: boolean;
    flags: string[];
}

export interface AlertCall {
    name: string;
    result: string;
    argument: string | null;
    context: boolean;
    strange: boolean;
    meaning: string | null;
}

export interface AlertSequence {
    time: number;
    process: string | null;
    program: string;
    detector: string;
    value: number; // its score; 1 is the threshold
    sentence: string;
    calls: AlertCall[];
    expected: { name: string; share: number }[];
    key: string; // of its strongest evidence
}

export interface AlertNovelty {
    kind: 'program' | 'edge' | 'pair' | 'errno' | 'argument' | 'rate';
    time: number;
    program: string;
    text: string;
    sentence: string;
    process: string | null;
    count: number;
    key: string;
}

export interface AlertHistory {
    time: number;
    who: string;
    action: string;
    note: string;
}

export interface Alert extends AlertSummary {
    raised: number;
    latency_s: number | null;
    why: string[];
    channels: {
        channel: Channel;
        peak: number;
        threshold: number; // 0: not in force
        share: number;
        over: boolean;
    }[];
    detectors: { name: string; share: number }[];
    processes: AlertProcess[];
    sequences: AlertSequence[];
    novelties: AlertNovelty[];
    keys: string[];
    linked: string | null;
    profile_version: number;
    calls: number;
    history: AlertHistory[];
}

export interface Readiness {
    state: ProfileState;
    progress: number;
    reason: string;
    eta_s: number | null;
    starts?: number;
}

export interface Profile {
    workload: string;
    state: ProfileState;
    reason: string;
    steady: Readiness;
    startup: Readiness;
    version: number;
    provisional: boolean;
    thresholds: Record<Channel, number | null>;
    off: Partial<Record<Channel, string>>; // why a channel is not in force
    learnt: {
        calls: number;
        windows: number;
        active_s: number;
        observed_s: number;
        programs: number;
        pairs: number;
        ngrams: number;
    };
    asked_per_day: number;
    alerts: { count: number; since: number | null; per_day_upper95: number | null };
    containers: number;
    suppressed: number;
    updated: number;
}

export interface Container {
    key: string;
    number: number;
    capture: string;
    id: string;
    runtime: string;
    name: string;
    image: string;
    version: string;
    namespace: string;
    pod: string;
    owner: string;
    command: string;
    workload: string;
    state: 'running' | 'gone' | 'unresolved';
    wanted: boolean;
    reason: string;
    attached: boolean;
    sandbox: boolean;
    born: number;
    gone: number | null;
    labels: Record<string, string>;
    node: string;
    phase?: Phase; // this and the rest once it has made a call
    calls?: number;
    calls_per_s?: number;
}

export interface Delay {
    p50_s: number | null;
    p99_s: number | null;
    n: number;
}

export interface Live {
    time: number;
    pid: number;
    version: string;
    started: number;
    calls_per_s: number;
    windows_per_s: number;
    latency: Delay; // from a call to its commit, scored
    alert_latency: Delay; // from the first strange call to its alert
    level: 'full' | 'no arguments' | 'bins only';
    agent: { ring_fill: number; cpu_share: number; rss_bytes: number };
    rates: { time: number; calls: number }[];
    mode: 'live' | 'replay';
}

export interface Blind {
    id?: string; // on the page Coverage
    from: number;
    until: number | null;
    reason: string;
}

export interface LedgerSum {
    seen: number;
    stored: number;
    in_flight: number;
    dropped: Record<string, number>;
    balanced: boolean;
    degraded: number; // of the stored: kept as counts per second only
}

export interface Ledger extends LedgerSum {
    blind: Blind[];
    refused: Record<string, number>;
    corrupt: { file: string; reason: string }[];
    containers: (LedgerSum & { key: string; name: string; workload: string })[];
}

export interface OverviewWorkload {
    workload: string;
    state: ProfileState;
    reason: string;
    progress: number;
    containers: number;
    calls_per_s: number;
    open_alerts: number;
}

export interface Overview {
    now: number;
    live: Live | null;
    alerts: { new: number; acknowledged: number; today: number };
    latest: AlertSummary[];
    workloads: OverviewWorkload[];
    containers: { running: number; watched: number; unresolved: number };
    ledger: LedgerSum;
}

export interface AlertFilter {
    state?: string;
    workload?: string;
    q?: string;
    from?: number;
    until?: number;
    held?: boolean;
    sort?: 'first' | 'last' | 'score';
    limit?: number;
    offset?: number;
}

export interface Suppression {
    id: string;
    workload: string;
    key: string;
    expires: number; // 0: never
    reason: string;
    author: string;
    created: number;
}

export interface WorkloadDetail extends Profile {
    shares: { program: string; syscall: string; calls: number; errors: number; share: number }[];
    errors: { program: string; syscall: string; errors: number; share: number }[];
    containers_list: Container[];
    recent_alerts: AlertSummary[];
}

export interface StrangeSecond {
    time: number;
    score: number; // 1 is the threshold
    channel: Channel;
    phase: Phase;
    container: string; // key
    detector: string;
    version: number; // of the profile
    why: string;
}

export interface WorkloadSeries {
    step_s: number;
    threshold: Record<Channel, number | null>;
    points: ({ time: number; calls: number; errors: number } & Record<Channel, number | null>)[];
    strange: StrangeSecond[]; // newest first
}

export interface ContainerProcess {
    id: string;
    parent: string;
    tgid: number;
    program: string;
    arguments: string;
    first: number;
    last: number | null; // null: it runs
    flags: string[];
}

export interface ContainerDetail extends Container {
    processes: ContainerProcess[];
    series: { time: number; calls: number; errors: number }[];
    alerts: AlertSummary[];
    ledger: LedgerSum | null;
}

export interface Coverage {
    /** The state, and the reason, are those of the workload's profile. */
    watched: (Omit<Container, 'state'> & { state: ProfileState; ready_in_s: number | null })[];
    unwatched: { key: string; name: string; id: string; reason: string }[];
    blind: Blind[];
    level: Live['level'];
    capture: { probe: string };
    limits: { what: string; used: number | null; max: number | null; refused: number }[];
}

export interface AuditEntry {
    id: string;
    time: number;
    who: string;
    address: string;
    action: string;
    target: string;
    detail: string;
}

export interface SinkTest {
    name: string;
    type: string;
    ok: boolean;
    message: string;
    took_s: number;
}
