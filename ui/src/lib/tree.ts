/* Processes as a tree, flattened to rows in the order they are read. */

export interface TreeRow<P> {
    process: P;
    depth: number;
    last: boolean; // of its siblings
}

interface Node {
    id: string;
    parent: string | null;
    first: number;
}

/** Those of the leading ids and those that led to them; without any, of all strange ones; of all. */
export function strangeBranches<P extends Node & { strange?: boolean }>(
    processes: P[],
    leading: Set<string>,
): P[] {
    const byId = new Map(processes.map((p) => [p.id, p]));
    const strange = processes.filter((p) => p.strange);
    const led = processes.filter((p) => leading.has(p.id));
    const kept = new Set<P>();
    for (const start of led.length ? led : strange)
        for (let p: P | undefined = start; p && !kept.has(p); p = byId.get(p.parent ?? ''))
            kept.add(p);
    return kept.size ? processes.filter((p) => kept.has(p)) : processes;
}

/** Parents that are not in the list make roots; a circle (bad data) is cut at its first member. */
export function treeRows<P extends Node>(processes: P[]): TreeRow<P>[] {
    const known = new Set(processes.map((p) => p.id));
    const children = new Map<string, P[]>();
    const roots: P[] = [];
    for (const p of [...processes].sort((a, b) => a.first - b.first)) {
        if (p.parent && p.parent !== p.id && known.has(p.parent)) {
            const siblings = children.get(p.parent);
            if (siblings) siblings.push(p);
            else children.set(p.parent, [p]);
        } else {
            roots.push(p);
        }
    }
    const rows: TreeRow<P>[] = [];
    const done = new Set<string>();
    const walk = (list: P[], depth: number) => {
        list.forEach((p, i) => {
            if (done.has(p.id)) return;
            done.add(p.id);
            rows.push({ process: p, depth, last: i === list.length - 1 });
            walk(children.get(p.id) ?? [], Math.min(depth + 1, 12));
        });
    };
    walk(roots, 0);
    for (const p of processes) if (!done.has(p.id)) walk([p], 0);
    return rows;
}
