/**
 * Starts an app or server on `PORT` and says where it listens.
 *
 * @param {{ listen(port: number, host: string, listening: () => void): import("node:http").Server }} app
 */
export function listen(app) {
  const server = app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
    const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
    console.log(`listening on http://127.0.0.1:${port}`);
  });
}

/**
 * What these apps keep in a session.
 *
 * @typedef {{ user?: string, device?: string }} Content
 * @param {object} session
 * @returns {Content}
 */
export const content = (session) => session;
