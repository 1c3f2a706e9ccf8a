/* Time series for ECharts, only the parts that are used. Tooltips are painted on the canvas
 * (richText): HTML tooltips would need inline styles, which the page's policy forbids. */
import { LineChart } from 'echarts/charts';
import { GridComponent, MarkLineComponent, TooltipComponent } from 'echarts/components';
import * as echarts from 'echarts/core';
import type { EChartsCoreOption } from 'echarts/core';
import { CanvasRenderer } from 'echarts/renderers';
import { brief, clock, stamp } from './format';
import type { Palette } from './theme.svelte';

echarts.use([LineChart, GridComponent, TooltipComponent, MarkLineComponent, CanvasRenderer]);

export { echarts };
export type Option = EChartsCoreOption;

export interface Line {
    name: string;
    color: string;
    fill?: string;
    points: [number, number | null][]; // wall s, value
    symbols?: boolean;
}

interface Hit {
    seriesName: string;
    value: [number, number | null];
    color: string;
}

export function lines(
    p: Palette,
    series: Line[],
    more: {
        unit: string;
        threshold?: number | null;
        from?: number;
        until?: number;
        digits?: number;
    },
): Option {
    const number = (v: number | null | undefined) =>
        v === null || v === undefined
            ? '–'
            : more.digits !== undefined
              ? v.toFixed(more.digits)
              : brief(Math.round(v));
    const small = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 });
    return {
        animation: false,
        textStyle: { fontFamily: 'system-ui, sans-serif', color: p.muted },
        grid: { left: 8, right: 24, top: 14, bottom: 4, containLabel: true },
        tooltip: {
            trigger: 'axis',
            renderMode: 'richText',
            confine: true,
            backgroundColor: p.surface,
            borderColor: p.line,
            textStyle: { color: p.text, fontSize: 12 },
            axisPointer: { lineStyle: { color: p.muted } },
            formatter: (hits: Hit[]) =>
                [
                    stamp((hits[0]?.value[0] ?? 0) / 1000),
                    ...hits.map((h) => `${h.seriesName}: ${number(h.value[1])} ${more.unit}`),
                ].join('\n'),
        },
        xAxis: {
            type: 'time',
            min: more.from === undefined ? undefined : more.from * 1000,
            max: more.until === undefined ? undefined : more.until * 1000,
            splitNumber: 5,
            axisLine: { lineStyle: { color: p.line } },
            axisTick: { lineStyle: { color: p.line } },
            axisLabel: {
                color: p.muted,
                fontSize: 11,
                hideOverlap: true,
                formatter: (ms: number) => timeLabel(ms / 1000, more.from, more.until),
            },
        },
        yAxis: {
            type: 'value',
            min: 0,
            splitNumber: 3,
            // The threshold must be on the picture even while everything stays far below it.
            max: (v: { max: number }) =>
                Math.max(
                    Number.isFinite(v.max) ? v.max : 0,
                    more.threshold ? more.threshold * 1.15 : 1,
                ),
            axisLabel: {
                color: p.muted,
                fontSize: 11,
                showMaxLabel: false,
                formatter: (v: number) => small.format(v),
            },
            splitLine: { lineStyle: { color: p.line } },
        },
        series: series.map((s, i) => ({
            name: s.name,
            type: 'line',
            data: s.points.map(([t, v]) => [t * 1000, v]),
            showSymbol: s.symbols ?? s.points.length < 3,
            symbolSize: 4,
            sampling: 'max',
            lineStyle: { color: s.color, width: 1.5 },
            itemStyle: { color: s.color },
            areaStyle: s.fill ? { color: s.fill } : undefined,
            emphasis: { disabled: true },
            markLine:
                i === 0 && more.threshold
                    ? {
                          silent: true,
                          symbol: 'none',
                          animation: false,
                          data: [{ yAxis: more.threshold }],
                          lineStyle: { color: p.danger, type: 'dashed', width: 1.5 },
                          label: {
                              formatter: 'threshold',
                              position: 'insideStartTop',
                              color: p.danger,
                              fontSize: 11,
                          },
                      }
                    : undefined,
        })),
    };
}

function timeLabel(time: number, from?: number, until?: number): string {
    const d = new Date(time * 1000);
    if (from !== undefined && until !== undefined && until - from > 2 * 86400)
        return `${d.getDate()} ${d.toLocaleString('en', { month: 'short' })}`;
    const text = clock(time);
    return text.endsWith(':00') ? text.slice(0, 5) : text;
}
