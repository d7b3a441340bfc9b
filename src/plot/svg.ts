import { describe } from '../core/check.ts';
import { UnsupportedError } from '../core/errors.ts';

/** Colours: those of the reader's system, or those of a light or a dark page. */
export type PlotTheme = 'auto' | 'light' | 'dark';

/** Options of every plot. */
export interface PlotOptions {
  /** 'auto' unless given. */
  readonly theme?: PlotTheme | undefined;
  /** A line above it all. */
  readonly title?: string | undefined;
}

/** What a colour is for: surface, text, text of less weight, lines of the grid, the first and the second series. */
type Role = 'back' | 'ink' | 'soft' | 'grid' | 'first' | 'second';

const LIGHT: Readonly<Record<Role, string>> = {
  back: '#ffffff',
  ink: '#24292f',
  soft: '#656d76',
  grid: '#e4e7eb',
  first: '#2a6fdb',
  second: '#d9702a',
};
const DARK: Readonly<Record<Role, string>> = {
  back: '#16191d',
  ink: '#e6e9ed',
  soft: '#9aa3ad',
  grid: '#2c323a',
  first: '#6aa5ff',
  second: '#f2a065',
};

/** Text as it may stand in an SVG. */
export const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** A number without digits that nobody sees. */
export const px = (value: number): string => String(Math.round(value * 100) / 100);

/** Colours of a theme, as attributes; where the reader's system decides, classes let the style change them. */
export class Paint {
  private readonly colours: Readonly<Record<Role, string>>;
  private readonly auto: boolean;

  constructor(op: string, theme: PlotTheme = 'auto') {
    if (theme !== 'auto' && theme !== 'light' && theme !== 'dark')
      throw new UnsupportedError(`${op}: theme is ${describe(theme)}; use 'auto', 'light' or 'dark'`);
    this.auto = theme === 'auto';
    this.colours = theme === 'dark' ? DARK : LIGHT;
  }

  fill(role: Role): string {
    return `${this.auto ? `class="tl-fill-${role}" ` : ''}fill="${this.colours[role]}"`;
  }

  stroke(role: Role): string {
    return `${this.auto ? `class="tl-stroke-${role}" ` : ''}stroke="${this.colours[role]}"`;
  }

  /** A line of text. */
  text(x: number, y: number, text: string, role: Role, more = ''): string {
    return `<text x="${px(x)}" y="${px(y)}" ${this.fill(role)}${more && ` ${more}`}>${escaped(text)}</text>`;
  }

  /** The whole drawing, on a surface of its own. */
  document(width: number, height: number, label: string, body: readonly string[]): string {
    const rules = Object.entries(DARK).map(
      ([role, colour]) => `.tl-fill-${role}{fill:${colour}}.tl-stroke-${role}{stroke:${colour}}`,
    );
    const style = this.auto ? `<style>@media (prefers-color-scheme: dark){${rules.join('')}}</style>` : '';
    return [
      `<svg xmlns="http://www.w3.org/2000/svg" width="${px(width)}" height="${px(height)}" viewBox="0 0 ${px(width)} ${px(height)}" role="img" aria-label="${escaped(label)}" font-family="system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif" font-size="12">`,
      ...(style ? [style] : []),
      `<rect width="100%" height="100%" rx="6" ${this.fill('back')}/>`,
      ...body,
      '</svg>',
    ].join('\n');
  }
}

/** About how wide a text of this size is. */
export const widthOf = (text: string, size = 12): number => text.length * size * 0.58;

/** The room that a title takes, and the title. */
export function titleOf(paint: Paint, title: string | undefined, width: number): { height: number; text: string[] } {
  if (title === undefined) return { height: 0, text: [] };
  return {
    height: 34,
    text: [paint.text(width / 2, 26, title, 'ink', 'font-size="15" font-weight="600" text-anchor="middle"')],
  };
}
