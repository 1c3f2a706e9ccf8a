/* Pages live behind the '#': the server only ever serves one page. #/alerts?state=new */

class Router {
    page = $state('overview');
    id = $state('');
    query = $state.raw(new URLSearchParams());

    constructor() {
        window.addEventListener('hashchange', () => this.read());
        this.read();
    }

    private read(): void {
        const [path = '', query = ''] = splitOnce(location.hash.replace(/^#\/?/, ''), '?');
        const [page = '', id = ''] = splitOnce(path, '/');
        this.query = new URLSearchParams(query);
        this.id = decode(id);
        this.page = page || 'overview';
    }

    /** Changes the query in place, without a step in the browser's history. */
    replaceQuery(query: Record<string, string>): void {
        history.replaceState(null, '', link(this.page, query));
        this.read();
    }
}

function splitOnce(text: string, at: string): [string, string] {
    const i = text.indexOf(at);
    return i < 0 ? [text, ''] : [text.slice(0, i), text.slice(i + 1)];
}

function decode(text: string): string {
    try {
        return decodeURIComponent(text);
    } catch {
        return text;
    }
}

export function link(page: string, query: Record<string, string> = {}): string {
    const p = new URLSearchParams();
    for (const [k, v] of Object.entries(query)) if (v) p.set(k, v);
    const s = p.toString();
    return `#/${page}${s ? `?${s}` : ''}`;
}

export const alertLink = (id: string): string => `#/alert/${encodeURIComponent(id)}`;
export const workloadLink = (key: string): string => link('workload', { key });
export const containerLink = (key: string): string => link('container', { key });

export function go(to: string): void {
    location.hash = to;
}

export const router = new Router();
