/**
 * Tracing as a Node.js service sets it up: OpenTelemetry's SDK, and `bullmq-otel` as the `telemetry` of BullMQ's classes.
 * Nothing in it knows of domainstream.
 */
import { trace } from "@opentelemetry/api";
import { NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import { BullMQOtel } from "bullmq-otel";

const provider = new NodeTracerProvider();
provider.register();

export const telemetry = new BullMQOtel({ tracerName: "node" });
export const tracer = trace.getTracer("node");

/** Return the ids of the current span, and of its parent. */
export function current() {
  const span = trace.getActiveSpan();
  const { traceId, spanId } = span.spanContext();
  return { traceId, spanId, parentSpanId: span.parentSpanContext?.spanId };
}
