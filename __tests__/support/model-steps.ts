import fc from "fast-check";

const MINUTE = 60_000;

/** Something that a request does to its session object; `n` is a value that no other edit has. */
export type Edit =
  | { edit: "set" | "setDate" | "setUndefined"; path: string[]; n: number }
  | { edit: "delete"; path: string[] }
  | { edit: "setObject"; path: string[]; id: number | undefined; n: number }
  | { edit: "setNull" | "push" | "empty"; path: string[]; n: number }
  | { edit: "maxAge"; ms: number | null };

/** An operation; objects, stores and sessions are named by a number and taken from those there are. */
export type Operation =
  | { step: "load" | "get"; store: number; session: number }
  | { step: "save" | "touch" | "finish" | "copy"; object: number; edits: Edit[] }
  | { step: "destroy"; store: number; session: number };

/** A step of a run. */
export type Step =
  | Operation
  | { step: "begin"; store: number; edits: Edit[] }
  | { step: "edit"; object: number; edits: Edit[] }
  | { step: "regenerate"; object: number; edits: Edit[] }
  | { step: "pass"; ms: number }
  | { step: "lose"; session: number }
  | { step: "together"; operations: Operation[] };

const small = fc.nat({ max: 7 });

const leaf: fc.Arbitrary<string[]> = fc.constantFrom<string[][]>(
  ["a"],
  ["b"],
  ["user", "name"],
  ["user", "seen"],
  ["user", "id"],
  ["cart", "x"],
  ["cart", "y"],
  ["cart", "items", "x"],
  ["cart", "items", "y"],
  ["list"],
  ["id"],
  ["touch"],
  ["__proto__", "x"],
  ["constructor"],
  ["cookies"],
);
const container: fc.Arbitrary<string[]> = fc.constantFrom<string[][]>(
  ["user"],
  ["cart"],
  ["cart", "items"],
  ["a"],
  ["__proto__"],
);
const n = fc.nat();

const edit: fc.Arbitrary<Edit> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ edit: fc.constant("set" as const), path: leaf, n }) },
  {
    weight: 2,
    arbitrary: fc.record({
      edit: fc.constantFrom("setDate" as const, "setUndefined" as const),
      path: leaf,
      n,
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      edit: fc.constant("delete" as const),
      path: fc.oneof(leaf, container),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      edit: fc.constant("setObject" as const),
      path: container,
      id: fc.constantFrom(undefined, 1, 2),
      n,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      edit: fc.constantFrom("setNull" as const, "push" as const, "empty" as const),
      path: fc.oneof(leaf, container),
      n,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      edit: fc.constant("maxAge" as const),
      ms: fc.constantFrom(null, 2 * MINUTE, 10 * MINUTE, 30 * 24 * 60 * MINUTE),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      edit: fc.constant("set" as const),
      path: fc.constant<string[]>(["passport", "user"]),
      n,
    }),
  },
);

const edits = fc.array(edit, { minLength: 0, maxLength: 3 });
const someEdits = fc.array(edit, { minLength: 1, maxLength: 3 });

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      step: fc.constantFrom("load" as const, "load" as const, "get" as const),
      store: small,
      session: small,
    }),
  },
  {
    weight: 10,
    arbitrary: fc.record({
      step: fc.constantFrom("save" as const, "finish" as const),
      object: small,
      edits: fc.oneof({ weight: 4, arbitrary: someEdits }, { weight: 1, arbitrary: edits }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ step: fc.constant("touch" as const), object: small, edits }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ step: fc.constant("copy" as const), object: small, edits }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ step: fc.constant("destroy" as const), store: small, session: small }),
  },
);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: operation },
  {
    weight: 2,
    arbitrary: fc.record({ step: fc.constant("edit" as const), object: small, edits: someEdits }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ step: fc.constant("begin" as const), store: small, edits }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ step: fc.constant("regenerate" as const), object: small, edits }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      step: fc.constant("pass" as const),
      ms: fc.constantFrom(3_000, 30_000, 110_000, 121_000, 9 * MINUTE, 11 * MINUTE, 70 * MINUTE),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ step: fc.constant("lose" as const), session: small }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      step: fc.constant("together" as const),
      operations: fc.array(operation, { minLength: 2, maxLength: 4 }),
    }),
  },
);

/** How writers meet: one session, a few requests on each store that hold it already, then anything. */
export interface Plan {
  readonly stores: number;
  readonly touchAfter: number;
  readonly steps: Step[];
}

const firstLoads: Step[] = [0, 1, 2].map((store) => ({ step: "load", store, session: 0 }));

export const plan: fc.Arbitrary<Plan> = fc.record({
  stores: fc.integer({ min: 1, max: 3 }),
  touchAfter: fc.constantFrom(60, 60, 0),
  steps: fc
    .tuple(edits, fc.array(step, { minLength: 2, maxLength: 14 }))
    .map(([first, rest]): Step[] => [
      { step: "begin", store: 0, edits: first },
      ...firstLoads,
      ...rest,
    ]),
});
