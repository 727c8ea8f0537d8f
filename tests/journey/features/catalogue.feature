# language: ko
기능: 예매 안내
  무엇을 언제 파는지는 누구나 볼 수 있다. 없는 것은 없다고 말한다.

  시나리오: 콘서트 목록
    먼저 A-1 좌석을 파는 콘서트가 있다
    만일 예매 서비스에 GET /api/v1/concerts 요청을 보낸다
    그러면 200 응답을 받는다
    그리고 응답은 다음과 같다
      | concerts | 있음 |

  시나리오: 콘서트와 그 일정
    먼저 A-1 좌석을 파는 콘서트가 있다
    만일 예매 서비스에 GET /api/v1/concerts/1 요청을 보낸다
    그러면 200 응답을 받는다
    그리고 응답은 다음과 같다
      | concertId | 1    |
      | title     | 있음 |
    만일 예매 서비스에 GET /api/v1/concerts/1/schedules 요청을 보낸다
    그러면 200 응답을 받는다
    그리고 응답은 다음과 같다
      | schedules | 있음 |

  시나리오 개요: 없는 것
    먼저 A-1 좌석을 파는 콘서트가 있다
    만일 예매 서비스에 <method> <path> 요청을 보낸다
    그러면 <status> <code> 오류로 거절된다

    예:
      | method | path                                 | status | code |
      | GET    | /api/v1/concerts/999999999           | 404    | B007 |
      | GET    | /api/v1/concerts/999999999/schedules | 404    | B007 |
      | GET    | /api/v1/concerts/first               | 400    | C001 |
      | GET    | /api/v1/tickets                      | 404    | C004 |
      | DELETE | /api/v1/concerts                     | 405    | C001 |
      | POST   | /api/admin/test-data/init            | 404    | C004 |
