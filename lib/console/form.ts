// Reads the form by which something is ended.
import type { IncomingMessage } from "node:http";
import { Refusal } from "./refusal.js";

/** So long may a form be, in bytes: one sealed name and a reason. */
const LONGEST_FORM = 16_384;

/** So long may a reason be, in characters. */
export const LONGEST_REASON = 500;

/** What a form says. */
export interface Form {
  /** The sealed name of what is to be ended. */
  readonly of: string;
  /** Why, in the words of who sends it. */
  readonly because: string | undefined;
}

/**
 * What a form says is to be done, also where a middleware of the app has read it already.
 *
 * @throws Refusal for what is no form of the console
 */
export async function formOf(request: IncomingMessage): Promise<Form> {
  const fields = await fieldsOf(request);
  const because = (fields.get("because") ?? "").trim();
  if (because.length > LONGEST_REASON) {
    const words = `The reason has more than ${LONGEST_REASON} characters. Nothing was ended.`;
    throw new Refusal(400, words);
  }
  return { of: fields.get("of") ?? "", because: because === "" ? undefined : because };
}

async function fieldsOf(request: IncomingMessage): Promise<URLSearchParams> {
  const type = request.headers["content-type"] ?? "";
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(type)) {
    throw new Refusal(415, "This is no form of the console. Nothing was ended.");
  }
  const { body } = request as { body?: unknown };
  if (request.readableEnded && typeof body === "object" && body !== null) {
    return new URLSearchParams(
      Object.entries(body).filter(([, value]) => typeof value === "string"),
    );
  }
  return new URLSearchParams(await textOf(request));
}

function textOf(request: IncomingMessage): Promise<string> {
  const long = new Refusal(413, "This form is too long. Nothing was ended.");
  const length = Number(request.headers["content-length"] ?? 0);
  if (length > LONGEST_FORM) return Promise.reject(long);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const broken = () => reject(new Refusal(400, "The form did not arrive. Nothing was ended."));
    // Node throws away what comes after the answer.
    const end = () => request.off("data", take);
    const take = (chunk: Buffer) => {
      size += chunk.length;
      chunks.push(chunk);
      if (size <= LONGEST_FORM) return;
      end();
      reject(long);
    };
    if (request.readableEnded || request.destroyed) return broken();
    request.on("data", take);
    request.once("end", () => resolve(Buffer.concat(chunks).toString()));
    request.once("close", broken);
    request.once("error", broken);
  });
}
