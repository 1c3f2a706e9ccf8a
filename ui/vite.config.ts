import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// The server embeds exactly four files, so names are fixed and nothing is split. Nothing may be
// inlined either: the page runs under a Content-Security-Policy without 'unsafe-inline' and data:.
export default defineConfig({
    plugins: [svelte()],
    base: './',
    build: {
        target: 'es2021',
        cssCodeSplit: false,
        assetsInlineLimit: 0,
        modulePreload: false,
        chunkSizeWarningLimit: 1500,
        rollupOptions: {
            output: {
                inlineDynamicImports: true,
                entryFileNames: 'app.js',
                assetFileNames: 'app.[ext]',
            },
        },
    },
    // `npm run dev` shows the sources against a running `vigia up`.
    server: { proxy: { '/api': 'http://127.0.0.1:8765' } },
});
