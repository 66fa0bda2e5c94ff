//! Handlers and their description, added together so that one cannot be without the other.

use axum::Router;
use axum::handler::Handler;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use utoipa::openapi::path::{HttpMethod, PathItem};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathsBuilder, Ref, RefOr,
    ResponseBuilder,
};
use utoipa::{Path, ToSchema};

use super::Served;
use super::error::ErrorBody;
use super::events::Line;

/// Where the description is.
pub(super) const DESCRIPTION: &str = "/api/v1/openapi.json";

/// What is served, and what is said of it.
pub(super) struct Api {
    router: Router<Served>,
    paths: PathsBuilder,
    components: Components,
}

impl Default for Api {
    fn default() -> Self {
        let mut this =
            Self { router: Router::new(), paths: PathsBuilder::new(), components: Components::new() };
        // Named by no handler's signature: what goes wrong, and the lines of a stream.
        this.schema::<ErrorBody>();
        this.schema::<Line>();
        this
    }
}

impl Api {
    /// Serves a handler where its description says.
    pub(super) fn add<D, H, T>(mut self, handler: H) -> Self
    where
        D: Path + utoipa::__dev::SchemaReferences,
        H: Handler<T, Served>,
        T: 'static,
    {
        let mut operation = D::operation();
        let error = ContentBuilder::new().schema(Some(Ref::from_schema_name(ErrorBody::name()))).build();
        let error = ResponseBuilder::new()
            .description("Anything else: what went wrong.")
            .content("application/json", error)
            .build();
        operation.responses.responses.insert("default".to_owned(), RefOr::T(error));
        let mut schemas = Vec::new();
        D::schemas(&mut schemas);
        self.components.schemas.extend(schemas);
        for method in D::methods() {
            self.router = self.router.route(&D::path(), on(filter(&method), handler.clone()));
            self.paths = self.paths.path(D::path(), PathItem::new(method, operation.clone()));
        }
        self
    }

    fn schema<S: ToSchema>(&mut self) {
        let mut schemas = vec![(S::name().into_owned(), S::schema())];
        S::schemas(&mut schemas);
        self.components.schemas.extend(schemas);
    }

    /// The handlers, and the document.
    pub(super) fn split(self) -> (Router<Served>, Description) {
        let Self { router, paths, components } = self;
        let info = InfoBuilder::new()
            .title("Cullet")
            .version(env!("CARGO_PKG_VERSION"))
            .description(Some("Submits pipelines to a cluster and follows them. Any coordinator answers."))
            .build();
        let document = OpenApiBuilder::new().info(info).paths(paths).components(Some(components)).build();
        (router, Description::of(&document))
    }
}

const fn filter(method: &HttpMethod) -> MethodFilter {
    match method {
        HttpMethod::Post => MethodFilter::POST,
        HttpMethod::Put => MethodFilter::PUT,
        HttpMethod::Delete => MethodFilter::DELETE,
        HttpMethod::Patch => MethodFilter::PATCH,
        HttpMethod::Options => MethodFilter::OPTIONS,
        HttpMethod::Head => MethodFilter::HEAD,
        HttpMethod::Trace => MethodFilter::TRACE,
        _ => MethodFilter::GET,
    }
}

/// The OpenAPI document, encoded once.
#[derive(Debug, Clone)]
pub(super) struct Description(bytes::Bytes);

impl Description {
    fn of(document: &OpenApi) -> Self {
        // It consists of texts and maps, which every encoder takes.
        Self(serde_json::to_vec_pretty(document).unwrap_or_default().into())
    }
}

impl IntoResponse for Description {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}

#[cfg(test)]
mod tests;
