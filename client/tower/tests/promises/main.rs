//! What the layer promises; each test is named after its promise.

mod addresses;
mod answers;
mod axum_server;
mod concurrency;
mod grpc;
mod headers;
mod layers;
mod outcomes;
mod outgoing;
mod rules;
mod services;
mod tools;
