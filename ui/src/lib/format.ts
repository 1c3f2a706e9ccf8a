/* Numbers, times and foreign text as people read them. */

const whole = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 });
const NONE = '–';

type Maybe = number | null | undefined;

const known = (n: Maybe): n is number => typeof n === 'number' && Number.isFinite(n);

export function count(n: Maybe): string {
    return known(n) ? whole.format(n) : NONE;
}

/** 3 significant digits and a unit: 93.3 million. For tiles; exact numbers stay in titles. */
export function brief(n: Maybe): string {
    if (!known(n)) return NONE;
    if (Math.abs(n) < 100000) return whole.format(n);
    const [unit, word] =
        Math.abs(n) >= 1e9
            ? [1e9, 'billion']
            : Math.abs(n) >= 1e6
              ? [1e6, 'million']
              : [1e3, 'thousand'];
    return `${(n / (unit as number)).toPrecision(3)} ${word}`;
}

export function plural(n: Maybe, one: string, many = `${one}s`): string {
    return `${count(n)} ${n === 1 ? one : many}`;
}

export function rate(n: Maybe): string {
    if (!known(n)) return NONE;
    return n > 0 && n < 10 ? n.toFixed(1) : whole.format(n);
}

export function percent(share: Maybe): string {
    if (!known(share)) return NONE;
    const p = share * 100;
    if (p > 0 && p < 0.1) return '< 0.1 %';
    return `${p < 10 && p !== Math.round(p) ? p.toFixed(1) : Math.round(p)} %`;
}

export function bytes(n: Maybe): string {
    if (!known(n)) return NONE;
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
    let i = 0;
    while (n >= 1024 && i < units.length - 1) {
        n /= 1024;
        i++;
    }
    return `${n >= 10 || i === 0 ? Math.round(n) : n.toFixed(1)} ${units[i]}`;
}

/** A span of seconds: 0.31 s, 42 s, 3 min 20 s, 5 h 12 min, 3 days 4 h. */
export function span(s: Maybe): string {
    if (!known(s)) return NONE;
    if (s <= 0) return '0 s';
    if (s < 0.0995) return `${Math.round(s * 1000)} ms`;
    if (s < 10) return `${s.toFixed(s < 1 ? 2 : 1)} s`;
    if (s < 60) return `${Math.round(s)} s`;
    const pair = (big: number, bigName: string, small: number, smallName: string) => {
        const a = Math.floor(s / big);
        const b = Math.round((s - a * big) / small);
        return b > 0 && b < big / small
            ? `${a} ${bigName} ${b} ${smallName}`
            : `${b ? a + 1 : a} ${bigName}`;
    };
    if (s < 3600) return pair(60, 'min', 1, 's');
    if (s < 86400) return pair(3600, 'h', 60, 'min');
    return pair(86400, s >= 172800 ? 'days' : 'day', 3600, 'h');
}

export function ago(time: number, now: number): string {
    const s = now - time;
    if (s < -60) return `in ${span(-s)}`; // less is two clocks that differ
    if (s < 3) return 'just now';
    if (s < 60) return `${Math.floor(s)} s ago`;
    if (s < 3600) return `${Math.floor(s / 60)} min ago`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
    const days = Math.floor(s / 86400);
    return days === 1 ? 'yesterday' : `${days} days ago`;
}

const two = (n: number) => String(n).padStart(2, '0');

export function clock(time: Maybe, fraction = false): string {
    if (!known(time)) return NONE;
    const d = new Date(time * 1000);
    const base = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
    return fraction ? `${base}.${String(d.getMilliseconds()).padStart(3, '0')}` : base;
}

export function day(time: Maybe): string {
    if (!known(time)) return NONE;
    const d = new Date(time * 1000);
    return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
}

export function stamp(time: Maybe): string {
    return known(time) ? `${day(time)} ${clock(time)}` : NONE;
}

export function iso(time: Maybe): string | undefined {
    return known(time) ? new Date(time * 1000).toISOString() : undefined;
}

/** "+1.250 s" from the start of something. */
export function offset(time: number, from: number): string {
    const s = time - from;
    const sign = s < 0 ? '−' : '+';
    const abs = Math.abs(s);
    return sign + (abs < 60 ? `${abs.toFixed(abs < 10 ? 2 : 1)} s` : span(abs));
}

/* Names, paths and arguments come from what runs in the containers, so also from an attacker.
 * The page never makes HTML of them; here control characters and the marks that turn the
 * direction of writing become visible, so a text cannot pass for another one. */
// eslint-disable-next-line no-control-regex
const FOREIGN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

export function show(text: unknown, max = 400): string {
    if (text === null || text === undefined) return '';
    const s = String(text).replace(FOREIGN, (c) => {
        const code = c.codePointAt(0) ?? 0;
        if (c === '\n') return '\\n';
        if (c === '\t') return '\\t';
        return `\\u{${code.toString(16)}}`;
    });
    return s.length > max ? `${s.slice(0, max)}… (${count(s.length)} characters)` : s;
}

/** Of a long path both ends, since the end says most. */
export function middleCut(text: unknown, max: number): string {
    const s = show(text, 4000);
    if (s.length <= max) return s;
    const head = Math.floor(max * 0.35);
    return `${s.slice(0, head)}…${s.slice(s.length - (max - head - 1))}`;
}

export function baseName(path: string): string {
    const s = path.replace(/\/+$/, '');
    return s.slice(s.lastIndexOf('/') + 1) || path;
}

/** First 12 digits, as the runtimes print ids. */
export function shortId(id: string): string {
    return /^[0-9a-f]{20,}$/.test(id) ? id.slice(0, 12) : id;
}

/** A workload of a container that nothing is known of is named by its whole id. */
export function workloadName(key: string | null | undefined, max = 160): string {
    return show(shortId(key ?? ''), max);
}

export function list<T>(value: T[] | null | undefined): T[] {
    return Array.isArray(value) ? value : [];
}

export function sum(counts: Record<string, number> | null | undefined): number {
    return Object.values(counts ?? {}).reduce((a, b) => a + (known(b) ? b : 0), 0);
}
