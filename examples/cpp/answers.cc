#include "answers.h"

#include <cstddef>

namespace demo {
namespace {

// The characters of one token of a longer word.
constexpr size_t kTokenCharactersMax = 6;

constexpr QuestionAndAnswer kAnswers[] = {
    {"What are Server-Sent Events?",
     "Server-Sent Events are the part of the web platform that lets a server keep talking. The browser sends one "
     "ordinary GET "
     "request, and the server answers with a response that does not end: text/event-stream, a few lines of text for "
     "each event, "
     "a blank line between them.\n\nThere is nothing to install. new EventSource(\"/events?topic=orders.*\") is the "
     "whole client: it parses the "
     "stream, fires an event for each message, and connects again by itself when the network goes away. Because it is "
     "plain "
     "HTTP, it passes proxies, load balancers and HTTP/2 like any other page.\n\nWhat it does not do is talk back. For "
     "that a "
     "page has fetch — and most pages that wanted a socket only ever wanted to listen."},
    {"Why does every event have an id?",
     "So that a break in the line is not a break in the story. Each event that the bridge keeps carries an id, and "
     "that id is a "
     "position in one log: epoch first, then a sequence number. The browser remembers the last one it saw, and when it "
     "connects "
     "again it says so in a header called Last-Event-ID.\n\nThe bridge then goes on right after that position. What "
     "was published "
     "in between is replayed, in order; what came before is not repeated. It works over many topics at once, because "
     "all of them "
     "share the one log — un seul journal, ein einziges Protokoll, один журнал.\n\nTry it: press “Cut the connection” "
     "above "
     "and watch the numbers close up again."},
    {"What happens when a browser is too slow?",
     "Nothing happens to anybody else. A connection is a cursor: the position up to which this browser has been "
     "served. There is "
     "no queue per client that could grow, so a phone in a tunnel costs as much memory as one on fibre.\n\nA slow "
     "cursor lags "
     "behind the log and catches up when it can. If it lags for so long that history has been trimmed past it, the "
     "bridge says "
     "so with an event of its own, bridge.gap, with the reason and the oldest id that can still be had. The page can "
     "then load "
     "a fresh state and go on.\n\nSilence would be worse than a gap: 0 events lost quietly is the promise, not 0 "
     "gaps."},
    {"How does an answer like this one reach me token by token?",
     "A language model writes a token about every 30 milliseconds. The backend publishes each as an event of type "
     "token on a topic of "
     "this answer's own, over the gRPC stream that it holds open anyway → the bridge appends it to the log → your "
     "browser gets it a "
     "moment later.\n\nThe data of each event is a JSON string, so that leading spaces and line breaks arrive exactly "
     "as they were "
     "written; even ½, Ω and 😀 come through in one piece. You joined with replay=all, which means: everything that "
     "has been "
     "typed so far, then the rest as it comes, with no seam between.\n\nThe last event has the type end and says what "
     "was used. "
     "After it the page closes the stream."},
    {"When should I use fetch instead of EventSource?",
     "EventSource can do two things that are hard to beat: it reconnects without a line of your code, and it is there "
     "in every "
     "browser. But it sends no headers of yours, it only knows GET, and when a server says no it will not tell you "
     "why.\n\nSo use "
     "fetch where you need an Authorization header, a body with many topics, or the problem document that says what to "
     "change. "
     "The price is a small parser. It has to keep a character whose bytes come in two pieces — the é in café, say — "
     "and an event "
     "that is cut in the middle of a line, and it has to remember the last id for the next attempt.\n\nThe panel below "
     "does just "
     "that in about a hundred lines."},
    {"What does the bridge do when I deploy a new version?",
     "It leaves politely. On SIGTERM it stops being ready, so that load balancers look elsewhere, and goes on serving "
     "for a few "
     "seconds. Publishers are told that it is draining; they get their last acks and open a stream to another "
     "replica.\n\nThen the "
     "event streams are closed, one by one and not all together, each with its own slightly different waiting time. "
     "Ten thousand "
     "browsers come back spread over half a minute instead of within the same 10 ms, and every one of them brings the "
     "id of the "
     "last event it saw.\n\nNobody has to press reload. That is the idea — ça continue, es geht weiter."},
};

bool IsContinuationByte(char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U; }

}  // namespace

absl::Span<const QuestionAndAnswer> Answers() { return kAnswers; }

std::vector<std::string> Tokenize(std::string_view text) {
  std::vector<std::string> tokens;
  size_t start = 0;
  size_t characters = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (IsContinuationByte(text[i])) continue;
    const bool is_boundary = text[i] == ' ' || text[i] == '\n' || characters == kTokenCharactersMax;
    if (is_boundary && i > start) {
      tokens.emplace_back(text.substr(start, i - start));
      start = i;
      characters = 0;
    }
    ++characters;
  }
  if (start < text.size()) tokens.emplace_back(text.substr(start));
  return tokens;
}

}  // namespace demo
