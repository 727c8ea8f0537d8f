// Puts each visitor into a lane, by network address, and removes what only our own servers may say.
// A function of the CDN, run for each request. LANES is written in by waitline_aws/front.py: name
// and share of each lane, in percent.
var LANES = [];
var LANE_HEADER = '';
// Waitline believes the load balancer, so it must not pass on what a client says of itself.
var OURS = ['traceparent', 'tracestate', 'x-request-id', 'forwarded'];

function handler(event) {
  var request = event.request;
  for (var i = 0; i < OURS.length; i++) {
    delete request.headers[OURS[i]];
  }
  request.headers[LANE_HEADER] = { value: lane(event.viewer.ip) };
  return request;
}

function lane(address) {
  var at = hundredth(address);
  var name = '';
  for (var i = 0; i < LANES.length; i++) {
    name = LANES[i][0];
    at -= LANES[i][1];
    if (at < 0) {
      return name;
    }
  }
  return name;
}

// FNV-1a and the last step of MurmurHash3, so that neighbouring addresses are spread evenly.
function hundredth(text) {
  var hash = 0x811c9dc5;
  for (var i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) % 100;
}
