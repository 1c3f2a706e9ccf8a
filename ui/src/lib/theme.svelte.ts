/* Light or dark: as the system says, until the reader chooses. */

export type ThemeChoice = 'system' | 'light' | 'dark';

const KEY = 'vigia-theme';
const dark = window.matchMedia('(prefers-color-scheme: dark)');

function remembered(): ThemeChoice {
    try {
        const v = localStorage.getItem(KEY);
        return v === 'light' || v === 'dark' ? v : 'system';
    } catch {
        return 'system';
    }
}

export interface Palette {
    text: string;
    muted: string;
    line: string;
    surface: string;
    accent: string;
    fill: string;
    danger: string;
    warn: string;
}

class Theme {
    choice = $state<ThemeChoice>(remembered());
    private systemDark = $state(dark.matches);
    isDark = $derived(this.choice === 'dark' || (this.choice === 'system' && this.systemDark));

    constructor() {
        dark.addEventListener('change', (e) => (this.systemDark = e.matches));
        this.apply();
    }

    private apply(): void {
        const root = document.documentElement;
        if (this.choice === 'system') delete root.dataset.theme;
        else root.dataset.theme = this.choice;
    }

    toggle(): void {
        this.choice = this.isDark ? 'light' : 'dark';
        this.apply();
        try {
            localStorage.setItem(KEY, this.choice);
        } catch {
            /* private window: it holds for this visit */
        }
    }

    /** The style sheet's colours, for the charts, which paint on a canvas. */
    get palette(): Palette {
        void this.isDark; // read again when it changes
        const css = getComputedStyle(document.documentElement);
        const v = (name: string) => css.getPropertyValue(`--${name}`).trim();
        return {
            text: v('text'),
            muted: v('muted'),
            line: v('line'),
            surface: v('surface'),
            accent: v('accent'),
            fill: v('accent-fill'),
            danger: v('danger'),
            warn: v('warn'),
        };
    }
}

export const theme = new Theme();
