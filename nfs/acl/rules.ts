// What a rule of the configuration says beside its conditions.

/** Index of the action that a word of the document names. */
export const ACTIONS = ["deny", "permit"];
export const DENY = 0;
