// One threshold that cannot be reached.
import http from 'k6/http';

export const options = { vus: 1, iterations: 3, thresholds: { http_reqs: ['count>1000'] } };

export default function () {
  http.get('http://queue-service:8081/actuator/health');
}
