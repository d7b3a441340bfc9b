// Charts of Observable Plot as files: Node has no document of its own.
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';

/** The words of a text in lines of at most so many characters. */
function inLines(words: string, most: number): string[] {
  const lines: string[] = [];
  for (const word of words.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < most) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** A chart of Observable Plot as an SVG, as text, with a title above it. */
export function chart(title: string, options: Plot.PlotOptions): string {
  const { document } = parseHTML('<html></html>');
  const style = { background: 'white', color: '#24292f', fontSize: '12px' };
  const size = { width: 640, height: 400, marginLeft: 56, marginBottom: 40 };
  const svg = Plot.plot({ document, grid: true, ariaLabel: title, ...size, ...options, style });
  const [width, height] = ['width', 'height'].map((name) => Number(svg.getAttribute(name))) as [number, number];
  const lines = inLines(title, width / 9);
  const above = 17 * lines.length + 16;
  for (const [i, line] of lines.entries()) {
    const element = document.createElementNS('http://www.w3.org/2000/svg', 'text');
    const place = { x: width / 2, y: 17 * (i - lines.length), 'font-size': 14, 'font-weight': 600 };
    for (const [name, value] of Object.entries(place)) element.setAttribute(name, String(value));
    element.textContent = line;
    svg.append(element);
  }
  svg.setAttribute('viewBox', `0 ${-above} ${width} ${height + above}`);
  svg.setAttribute('height', String(height + above));
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  svg.setAttribute('role', 'img');
  return svg.outerHTML;
}
