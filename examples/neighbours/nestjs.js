// NestJS on Express. In TypeScript the decorators stand before what they are applied to here.
import "reflect-metadata";
import { Controller, Get, Module, Post, Req } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import session from "express-session";
import { options, visit } from "./shared.js";

class VisitsController {
  /** @param {import("express").Request} req */
  visit(req) {
    return visit(req.session);
  }

  /** @param {import("express").Request} req */
  async logout(req) {
    await new Promise((resolve) => {
      req.session.destroy(resolve);
    });
    return "bye\n";
  }
}
Controller()(VisitsController);
decorate("visit", Get());
decorate("logout", Post("logout"));

class AppModule {}
Module({ controllers: [VisitsController] })(AppModule);

const app = await NestFactory.create(AppModule, { logger: ["error"] });
app.use(session(options));
await app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1");
console.log(`listening on ${await app.getUrl()}`);

/**
 * @param {"visit" | "logout"} name
 * @param {MethodDecorator} route
 */
function decorate(name, route) {
  const { prototype } = VisitsController;
  const method = Object.getOwnPropertyDescriptor(prototype, name);
  if (method !== undefined) route(prototype, name, method);
  Req()(prototype, name, 0);
}
