/** Gives engines without explicit resource management the symbol that `using` looks for. */
export function ensureDisposeSymbol(): void {
  if (!Object.hasOwn(Symbol, 'dispose')) Object.defineProperty(Symbol, 'dispose', { value: Symbol('Symbol.dispose') });
}
