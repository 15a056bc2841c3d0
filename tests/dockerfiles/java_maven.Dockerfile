FROM maven:3-eclipse-temurin-21 AS build
WORKDIR /src
COPY pom.xml .
RUN --mount=type=cache,target=/root/.m2 mvn -B dependency:go-offline
COPY src ./src
RUN --mount=type=cache,target=/root/.m2 mvn -B package -DskipTests
FROM eclipse-temurin:21-jre
ARG JAR=app
COPY --from=build /src/target/${JAR}.jar /app.jar
STOPSIGNAL SIGTERM
ENTRYPOINT ["java", "-jar", "/app.jar"]
