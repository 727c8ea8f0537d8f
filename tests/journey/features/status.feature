# language: ko
기능: 상태 조회
  방문자는 자기가 어디에 서 있는지 언제나 물어볼 수 있다.

  시나리오: 기다리는 방문자
    먼저 아무도 들여보내지 않는 대기실이 있다
    그리고 지은은 WAITING 상태다
    만일 지은이 상태를 조회한다
    그러면 200 응답을 받는다
    그리고 응답은 다음과 같다
      | status                    | WAITING |
      | position                  | 1       |
      | token                     | 있음    |
      | expiredAt                 | 없음    |
      | extendCount               | 0       |
      | recommendedPollIntervalMs | 있음    |
      | minPollIntervalMs         | 2000    |

  시나리오 개요: 들어갈 차례가 된 방문자
    먼저 대기실이 있다
    그리고 지은은 <status> 상태다
    만일 지은이 상태를 조회한다
    그러면 200 응답을 받는다
    그리고 응답은 다음과 같다
      | status                    | <status> |
      | position                  | 0        |
      | token                     | 있음     |
      | expiredAt                 | 있음     |
      | extendCount               | 0        |
      | recommendedPollIntervalMs | 있음     |
      | minPollIntervalMs         | 2000     |

    예:
      | status |
      | READY  |
      | ACTIVE |

  시나리오: 시간이 지난 방문자
    먼저 대기실이 있다
    그리고 지은은 EXPIRED 상태다
    만일 지은이 상태를 조회한다
    그러면 200 응답을 받는다
    그리고 응답은 다음과 같다
      | status   | EXPIRED |
      | position | 0       |
      | token    | 없음    |

  시나리오: 온 적이 없는 방문자
    먼저 대기실이 있다
    만일 지은이 상태를 조회한다
    그러면 404 Q001 오류로 거절된다
    그리고 오류 문구는 "대기열 토큰을 찾을 수 없습니다."다
    그리고 응답은 다음과 같다
      | status | NOT_FOUND |

  시나리오 개요: 누구인지 밝히지 않은 조회
    먼저 대기실이 있다
    만일 지은이 <field> 없이 상태를 조회한다
    그러면 400 C001 오류로 거절된다
    그리고 오류는 <field> 항목을 가리킨다

    예:
      | field     |
      | concertId |
      | userId    |

  시나리오: 이미 시작한 방문자의 조회는 아무것도 바꾸지 않는다
    먼저 대기실이 있다
    그리고 지은은 ACTIVE 상태다
    만일 지은이 상태를 조회한다
    그리고 지은이 다시 상태를 조회한다
    그러면 status, expiredAt, extendCount, token 값은 전과 같다
