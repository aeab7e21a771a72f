// Why sessions were ended.
export { type Ending, Endings, type WhyGone } from "./endings.js";
