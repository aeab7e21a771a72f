// What waits, in the order in which it began to wait.

/** A member of a queue; what links it to others is the queue's affair. */
export interface Queued<Member> {
  previous: Member | undefined;
  next: Member | undefined;
  isQueued: boolean;
}

/**
 * A queue that its members leave in any order. A Set would do: but the tables that it outgrows keep
 * what they held from the garbage collector, and so a part of what every command has allocated, until
 * the next full collection. What leaves links to nothing.
 */
export class Queue<Member extends Queued<Member>> {
  #first: Member | undefined;
  #last: Member | undefined;

  /** Who has waited longest. */
  get first(): Member | undefined {
    return this.#first;
  }

  add(member: Member): void {
    member.isQueued = true;
    member.previous = this.#last;
    if (this.#last === undefined) this.#first = member;
    else this.#last.next = member;
    this.#last = member;
  }

  /** Whether it was there. */
  remove(member: Member): boolean {
    if (!member.isQueued) return false;
    const { previous, next } = member;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    member.isQueued = false;
    member.previous = undefined;
    member.next = undefined;
    return true;
  }
}
