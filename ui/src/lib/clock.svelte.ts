/* The time of the server, which is that of all data: a browser's clock may be minutes off. */
class Now {
    private ticked_ms = $state(Date.now());
    private off_ms = $state(0);

    constructor() {
        setInterval(() => {
            if (!document.hidden) this.ticked_ms = Date.now();
        }, 1000);
    }

    /** Each second another one, for what is shown. */
    get seconds(): number {
        return (this.ticked_ms + this.off_ms) / 1000;
    }

    get exact(): number {
        return (Date.now() + this.off_ms) / 1000;
    }

    /** Every answer has its time, in whole seconds and as late as it took: a few off are none. */
    heard(date: string | null): void {
        const off = Date.parse(date ?? '') - Date.now();
        if (!Number.isNaN(off)) this.off_ms = Math.abs(off) < 5000 ? 0 : off;
    }
}

export const now = new Now();
