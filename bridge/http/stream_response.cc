#include "bridge/http/stream_response.h"

#include <memory>
#include <string>
#include <utility>

#include "bridge/http/event_stream.h"
#include "bridge/http/exchange.h"
#include "bridge/http/passing_refusal.h"
#include "bridge/sse/encoder.h"

namespace bridge::http {

void AnswerWithStream(StreamPlan plan, const httplib::Request& request, httplib::Response* response) {
  SetStreamHeaders(response);
  const bool is_old = request.version == "HTTP/1.0";
  plan.selection.framing = is_old ? hub::Framing::kPlain : hub::Framing::kChunked;
  // Shared, because the library copies its providers.
  const auto provide = [pending = std::make_shared<StreamPlan>(std::move(plan))](size_t /*offset*/,
                                                                                 httplib::DataSink& sink) {
    hub::Hub* const hub = pending->hub;
    hub->loop().AssertOnLoop();
    hub::Hub::Opening opening = hub->Open(pending->selection, pending->start);
    if (!opening.text.empty()) {
      sink.write(opening.text.data(), opening.text.size());
    }
    pending->opened->Add(1);
    Exchange::Current().park = [pending, begun = std::move(opening)](ParkedSocket socket) mutable {
      EventStream::Start(std::move(socket), pending->hub, std::move(pending->selection), begun, pending->terms,
                         *std::move(pending->place), std::move(pending->reader));
    };
    return false;  // the rest of the response is written by the hub
  };
  if (is_old) {
    Exchange::Current().must_close = true;
    response->set_header("Connection", "close");
    const httplib::ContentProviderWithoutLength provider = provide;
    response->set_content_provider(std::string(sse::kContentType), provider);
  } else {
    response->set_chunked_content_provider(std::string(sse::kContentType), provide);
  }
}

}  // namespace bridge::http
