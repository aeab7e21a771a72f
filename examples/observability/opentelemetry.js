// Feeds the metrics SDK of OpenTelemetry. The exporter keeps them in memory, and GET /exported shows
// them; put the one of your collector in its place.
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import express from "express";
import session from "express-session";
import { createClient } from "redis";
import { RedisStore } from "redis-session-store";
import { collectMetrics } from "redis-session-store/metrics";
import { secret } from "../secret.js";
import { listen } from "../users/listen.js";

const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 10_000 });
const provider = new MeterProvider({ readers: [reader] });
collectMetrics({ meter: provider.getMeter("redis-session-store") });

const client = createClient({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379" });
client.on("error", (error) => console.error(String(error)));
await client.connect();

const app = express();
app.get("/exported", async (_req, res) => {
  exporter.reset();
  await provider.forceFlush();
  const metrics = exporter
    .getMetrics()
    .flatMap(({ scopeMetrics }) => scopeMetrics[0]?.metrics ?? []);
  res.json(
    metrics.map(({ descriptor, dataPoints }) => ({
      name: descriptor.name,
      unit: descriptor.unit,
      points: dataPoints.map(({ attributes, value }) => ({ attributes, value })),
    })),
  );
});
app.use(
  session({
    store: new RedisStore({ client, name: "visits" }),
    secret,
    resave: false,
    saveUninitialized: false,
  }),
);
app.get("/", (req, res) => {
  Object.assign(req.session, { seen: new Date().toISOString() });
  res.send("seen\n");
});
listen(app);
