// Tells the errors of the store from others.

/** The code of an error of the store; of others nothing is known. */
export function codeOf(error: unknown): string | undefined {
  const { name, code } = (error ?? {}) as { name?: unknown; code?: unknown };
  return name === "StoreError" ? String(code) : undefined;
}

/** Whether the store refused what it was given. */
export function isInvalid(error: unknown): boolean {
  return /^ERR_INVALID_(OPTION|SID|SESSION)$/.test(codeOf(error) ?? "");
}
