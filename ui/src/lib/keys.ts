/** The key of an event that is meant for the page: not typed into a field, no dialog open. */
export function pageKey(e: KeyboardEvent): string {
    if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented) return '';
    const at = e.target as HTMLElement | null;
    if (at?.closest('input, textarea, select, dialog')) return '';
    if (document.querySelector('dialog[open]')) return '';
    return e.key;
}
